"""Checks with AWS STS (Security Token Service) who owns a credential, and whether it is still valid."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from freshkey.errors import FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.plugin import Credential, Identity, Inspection, Profile, Validity
from freshkey_bedrock.deadline import call_with_deadline
from freshkey_bedrock.formats import AwsCredential, BedrockApiKey
from freshkey_bedrock.own_files import ensure_own
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.shared_config import profile_name
from freshkey_bedrock.sso.credential import SsoCredential


if TYPE_CHECKING:
    from botocore.exceptions import ClientError

CHECK_TIMEOUT: Final = 20.0
"""Seconds allowed for the whole check."""

CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 10.0
"""Seconds for each step of the single request."""


def inspect(profile: Profile, credential: Credential) -> Inspection:
    """Check a credential with STS.

    GetCallerIdentity needs no permissions: it identifies the owner of the credentials, but does not show whether they
    may use a model. The request goes to the credential's region, through the proxy set in the environment.
    """
    if credential.expired():
        when = f"{credential.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return _answer(Validity.EXPIRED, credential.identity, f"it expired at {when}")
    if not isinstance(credential, AwsCredential):
        what = "a Bedrock API key" if isinstance(credential, BedrockApiKey) else "this credential"
        detail = f"{what} cannot be checked with STS, which requires signed requests; send a request to a model instead"
        return _answer(Validity.UNCHECKABLE, credential.identity, detail)
    return _ask_sts(profile, credential)


def _ask_sts(profile: Profile, credential: AwsCredential) -> Inspection:
    from botocore.exceptions import ClientError

    settings = profile.settings_as(BedrockSettings)
    ensure_own(profile)
    try:
        said = call_with_deadline(
            min(settings.deadline, CHECK_TIMEOUT), lambda: _caller(settings, credential), "STS did not respond"
        )
    except ClientError as error:
        return _judge(error, credential)
    except FreshkeyError as error:
        return _answer(Validity.UNREACHABLE, credential.identity, error.message)
    except Exception as error:  # noqa: BLE001  botocore can raise anything on bad input
        flaw = _explained(error, profile)
    else:
        return _answer(Validity.VALID, _identity(said).completed_by(credential.identity), "STS accepts it")
    if isinstance(flaw, TransientError | OutcomeUnknown):
        return _answer(Validity.UNREACHABLE, credential.identity, f"{flaw.message} ({credential.region})")
    # Raised outside the handler, so that it does not chain botocore's exception.
    raise flaw


def _explained(error: Exception, profile: Profile) -> FreshkeyError:
    from freshkey_bedrock.errors import explained

    flaw = explained(error, profile_name(profile))
    flaw.profile = profile.name
    return flaw


def _caller(settings: BedrockSettings, credential: AwsCredential) -> Any:  # noqa: ANN401  botocore has no types
    from botocore.config import Config

    from freshkey_bedrock.restricted_session import session

    limits = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"total_max_attempts": 1},
        signature_version="v4",
        # A variable or AWS's files must not decide where the session token of a stored sign-in is sent.
        ignore_configured_endpoint_urls=isinstance(credential, SsoCredential),
    )
    client = session(settings.aws_profile, credential.region).create_client(
        "sts",
        region_name=credential.region,
        aws_access_key_id=credential.access_key_id,
        aws_secret_access_key=credential.secret_access_key.reveal(),
        aws_session_token=credential.session_token.reveal() if credential.session_token else None,
        config=limits,
    )
    return client.get_caller_identity()


def _identity(said: Any) -> Identity:  # noqa: ANN401  botocore has no types
    arn = said.get("Arn")
    return Identity(
        account=said.get("UserId"),
        organization=said.get("Account"),
        display_name=arn,
        extra={} if arn is None else {"arn": arn},
    )


def _judge(error: ClientError, credential: AwsCredential) -> Inspection:
    from freshkey_bedrock.errors import code_of, meaning_of, words_of

    answer, code = meaning_of(error, time.time()), code_of(error)
    if issubclass(answer.kind, LoginRequired):
        return _answer(Validity.EXPIRED, credential.identity, f"STS reports that it has expired ({code})")
    why = answer.why + words_of(error)
    if issubclass(answer.kind, ProviderRefused):
        return _answer(Validity.REFUSED, credential.identity, f"STS rejects it: {why} ({code})")
    return _answer(Validity.UNREACHABLE, credential.identity, f"STS is temporarily unavailable: {why} ({code})")


def _answer(validity: Validity, identity: Identity | None, detail: str) -> Inspection:
    return Inspection(validity=validity, identity=identity, detail=detail)
