"""A botocore session for boto3 and botocore clients that gets current AWS credentials before each signature.

If AWS refuses the credentials of a request, it is signed and sent once more with newer ones, if there are any.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials
from botocore.session import Session

from freshkey.errors import ConfigurationError, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.plugin import PEEK_SIZE
from freshkey_bedrock.formats import AwsCredential


if TYPE_CHECKING:
    from freshkey.plugin import Credential, CredentialSource

ASK_EACH_TIME: Final = 10**12
"""Value of both refresh timeouts of botocore, in seconds: it refreshes whenever less lifetime is left, so always.

freshkey returns credentials from memory, and raises only if no usable ones are left.
"""

NO_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The time passed to botocore for credentials that do not expire."""


NO_REPLACEMENT: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Errors that mean that no newer credential is available now: AWS's refusal is then the better error."""

SIGNED: Final = "freshkey_signed"
LOOKED: Final = "freshkey_looked"
"""Keys in botocore's context of a request: the headers that were signed last, and whether they were refused before."""

RECENT: Final = 8
"""How many credentials are remembered: requests may be in flight with one that has been renewed since."""


def botocore_session(source: CredentialSource, profile: str | None = None) -> Session:
    """Return a botocore session with the credentials of a profile, for ``boto3.Session(botocore_session=…)``.

    Its clients keep working across renewals. The first credential is fetched here; later ones come from memory, or
    block until a renewal if the last one has expired. Arguments and errors are those of
    `freshkey_bedrock.botocore_session`.
    """
    session, provider = Session(), _Provider(source, profile)
    session.register_component("credential_provider", CredentialResolver([provider]))
    events = session.get_component("event_emitter")
    events.register_last("request-created", provider.remember_signed)
    events.register_first("needs-retry", provider.look_once)
    session.set_config_variable("region", _aws(source, profile).region)
    return session


class _Provider(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """The session's only credential provider.

    Args:
        source: Where credentials come from.
        profile: Name of the profile; None for the selected one.
    """

    METHOD = "freshkey"
    CANONICAL_NAME = "freshkey"

    def __init__(self, source: CredentialSource, profile: str | None) -> None:
        super().__init__()
        self._source = source
        self._profile = profile
        self._recent: deque[AwsCredential] = deque(maxlen=RECENT)

    def load(self) -> RefreshableCredentials:
        """Return credentials that refresh themselves before each signature."""
        # So a renewal, another account or a sign-out takes effect with the next request.
        # See docs/decisions.md, "botocore gets the keeper's credentials before each signature".
        return RefreshableCredentials.create_from_metadata(
            metadata=self._metadata(),
            refresh_using=self._metadata,
            method=self.METHOD,
            advisory_timeout=ASK_EACH_TIME,
            mandatory_timeout=ASK_EACH_TIME,
        )

    def _metadata(self) -> dict[str, Any]:
        credential = _aws(self._source, self._profile)
        if not self._recent or self._recent[-1] is not credential:
            self._recent.append(credential)
        return _metadata(credential)

    def remember_signed(self, request: Any, **_: object) -> None:  # noqa: ANN401  botocore has no types
        """Remember the headers of a request that has just been signed (botocore's event ``request-created``)."""
        request.context[SIGNED] = request.headers

    def look_once(self, response: Any, request_dict: dict[str, Any], **_: object) -> float | None:  # noqa: ANN401
        """Return 0 to have botocore sign and send a request again (its event ``needs-retry``), otherwise None.

        That is the case if AWS refused its credentials, and there are newer ones: once for each request.
        """
        context = request_dict.get("context", {})
        if response is None or context.get(LOOKED) or not _can_be_sent_again(request_dict.get("body")):
            return None
        refused = self._credential_of(context.get(SIGNED))
        if refused is None or not refused.judge(_Answer(response[0], request_dict)).refused:
            return None
        context[LOOKED] = True
        return 0.0 if self._is_replaced(refused) else None

    def _credential_of(self, signed: Mapping[str, str] | None) -> AwsCredential | None:
        """Return the credential that signed a request, if this session provided it."""
        key = (signed or {}).get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        return next((each for each in reversed(self._recent) if each.access_key_id == key), None)

    def _is_replaced(self, refused: Credential) -> bool:
        try:
            return isinstance(self._source.get(self._profile, refused=refused), AwsCredential)
        except NO_REPLACEMENT:
            return False


@frozen
class _Answer:
    """A response of botocore, for `Credential.judge`."""

    _response: Any
    _request: dict[str, Any]

    @property
    def status(self) -> int:
        return int(self._response.status_code)

    @property
    def headers(self) -> Mapping[str, str]:
        headers: Mapping[str, str] = self._response.headers
        return headers

    @property
    def method(self) -> str:
        return str(self._request["method"])

    @property
    def url(self) -> str:
        return str(self._request["url"])

    def peek(self) -> bytes:
        # botocore has read the body of an error before.
        content: bytes = self._response.content
        return content[:PEEK_SIZE]


def _can_be_sent_again(body: Any) -> bool:  # noqa: ANN401  bytes, text or a file
    """Whether botocore can send a body once more: it would raise for a stream that it cannot rewind."""
    if not hasattr(body, "read"):
        return True
    # botocore's own wrapper, for S3's checksums, can only be rewound.
    return bool(body.seekable()) if hasattr(body, "seekable") else hasattr(body, "seek")


def _aws(source: CredentialSource, profile: str | None) -> AwsCredential:
    credential = source.get(profile)
    if isinstance(credential, AwsCredential):
        return credential
    raise ConfigurationError(
        f"botocore needs AWS credentials, but the source {credential.source!r} provides an API key",
        profile=profile,
        hint="Choose another source, or pass the API key in AWS_BEARER_TOKEN_BEDROCK",
        code="bedrock-api-key-not-supported",
    )


def _metadata(credential: AwsCredential) -> dict[str, Any]:
    """Return a credential in the form that botocore's ``RefreshableCredentials`` expects."""
    token = credential.session_token
    return {
        "access_key": credential.access_key_id,
        "secret_key": credential.secret_access_key.reveal(),
        "token": token.reveal() if token is not None else None,
        "expiry_time": _expiry_time(credential).isoformat(),
        "account_id": credential.identity.organization,
    }


def _expiry_time(credential: AwsCredential) -> datetime:
    """Return when it expires, by the wall clock as it is now: botocore compares nothing else.

    freshkey decides by elapsed time, and may still use a credential after the wall clock was set forward.
    """
    left = credential.seconds_left()
    return NO_END if left is None else datetime.now(UTC) + timedelta(seconds=max(left, 1.0))
