"""The kinds of credential for Bedrock: AWS credentials, which sign each request, and API keys, which are sent along."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import ApiKey, Credential, Secret


SERVICE: Final = "bedrock"
"""The name that requests to Bedrock and to Bedrock Runtime are signed for (``signingName`` of both service models)."""


@frozen(kw_only=True)
class AwsCredential(Credential):
    """AWS credentials, which sign each request with Signature Version 4.

    Attributes:
        access_key_id: Names the key; no secret.
        secret_access_key: Signs.
        session_token: Sent along by temporary credentials.
        region: The region that requests are signed for.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None
    region: str

    def __attrs_post_init__(self) -> None:
        # Credentials are made on a thread that renews; whoever asks for headers later shall not wait for botocore.
        import freshkey_bedrock.signing  # noqa: F401

    def authorizes_like(self, other: Credential) -> bool:
        """Whether both are the same key in the same session."""
        return (
            isinstance(other, AwsCredential)
            and self.access_key_id == other.access_key_id
            and self.secret_access_key == other.secret_access_key
            and self.session_token == other.session_token
        )

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """Sign a request; the URL is taken as it is, so that a model's id is signed as it will be sent.

        The headers are those that botocore's own client adds. Host, date and session token are signed along; other
        headers of the request are not, so that proxies may change them.
        """
        if not urlsplit(url).hostname:
            message = "AWS credentials sign one request at a time, and this one has no absolute URL"
            raise ConfigurationError(message, hint="Pass the method, the URL and the body as they will be sent")
        from freshkey_bedrock.signing import signed_headers

        now = datetime.fromtimestamp(self.clock.now().wall, UTC)
        return signed_headers(self, method, url, body, now=now, service=SERVICE)

    def _environment(self) -> dict[str, str]:
        """Return what AWS's SDKs and command line read.

        ``AWS_CREDENTIAL_EXPIRATION`` is left out: botocore refuses credentials from the environment in the last ten
        minutes before the end that it names, because they cannot be renewed there.
        """
        token = {"AWS_SESSION_TOKEN": self.session_token.reveal()} if self.session_token else {}
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key.reveal(),
            **token,
            **region_variables(self.region),
        }


@frozen(kw_only=True)
class BedrockApiKey(ApiKey):
    """A Bedrock API key, sent as a bearer token: a long-term one of an IAM user, or a short-term one with an end.

    Attributes:
        region: The region to call, where it is known; short-term keys work in theirs alone.
    """

    region: str | None = None

    def _environment(self) -> dict[str, str]:
        return {"AWS_BEARER_TOKEN_BEDROCK": self.key.reveal(), **region_variables(self.region)}


def region_variables(region: str | None) -> dict[str, str]:
    """Return both variables that name a region: AWS's SDKs do not all read the same one."""
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region} if region else {}


FORMATS: Final[dict[str, type[Credential]]] = {
    "bedrock-aws": AwsCredential,
    "bedrock-api-key": BedrockApiKey,
}
"""Tags in stored records; they never change their meaning."""
