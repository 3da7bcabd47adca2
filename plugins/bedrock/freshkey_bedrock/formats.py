"""The two kinds of Bedrock credential: AWS credentials, which sign each request, and API keys (bearer tokens)."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Answer, ApiKey, Credential, Secret, Verdict
from freshkey_bedrock import refusal


SERVICE: Final = "bedrock"
"""Signing name for requests to Bedrock and Bedrock Runtime (``signingName`` in both service models)."""


@frozen(kw_only=True)
class AwsCredential(Credential):
    """AWS credentials, which sign each request with Signature Version 4.

    Attributes:
        access_key_id: The access key ID; not a secret.
        secret_access_key: The secret access key.
        session_token: Session token; only temporary credentials have one.
        region: Region to sign requests for.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None
    region: str

    def __attrs_post_init__(self) -> None:
        # Imported here, on the thread that renews, so that a later headers() call does not wait for botocore to load.
        import freshkey_bedrock.signing  # noqa: F401

    def authorizes_like(self, other: Credential) -> bool:
        """Return whether both are the same key in the same session."""
        return (
            isinstance(other, AwsCredential)
            and self.access_key_id == other.access_key_id
            and self.secret_access_key == other.secret_access_key
            and self.session_token == other.session_token
        )

    def judge(self, answer: Answer) -> Verdict:
        """Return what a response means: AWS refuses ended credentials with 403 or 400, and an error type."""
        return refusal.judge(answer)

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """Sign a request; the URL is not normalized, so that a model ID is signed exactly as it will be sent.

        Returns the same headers as botocore's client. Host, date and session token are signed; other headers of the
        request are not, so that proxies may change them.
        """
        if not urlsplit(url).hostname:
            raise ConfigurationError(
                "AWS credentials sign each request, which requires an absolute URL",
                hint="Call headers(method, url, body) with the values that will be sent",
                code="bedrock-no-request-url",
            )
        from freshkey_bedrock.signing import signed_headers

        now = self.clock.now().utc
        return signed_headers(self, method, url, body, now=now, service=SERVICE)

    def _environment(self) -> dict[str, str]:
        """Return the variables that AWS SDKs and the AWS CLI read.

        ``AWS_CREDENTIAL_EXPIRATION`` is left out: with it, botocore rejects the credentials during the last ten minutes
        before they expire, because it cannot renew credentials from the environment.
        See docs/decisions.md, "A child process does not get the expiration of its AWS credentials".
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
    """A Bedrock API key, sent as a bearer token: long-term (of an IAM user), or short-term (expires).

    Attributes:
        region: The region to call, if known; a short-term key works in one region only.
    """

    region: str | None = None

    def judge(self, answer: Answer) -> Verdict:
        """Return what a response means: Bedrock refuses an API key with 403 and a message."""
        return refusal.judge_api_key(answer)

    def _environment(self) -> dict[str, str]:
        return {"AWS_BEARER_TOKEN_BEDROCK": self.key.reveal(), **region_variables(self.region)}


def region_variables(region: str | None) -> dict[str, str]:
    """Return both region variables: not all AWS SDKs read the same one."""
    return {"AWS_REGION": region, "AWS_DEFAULT_REGION": region} if region else {}


FORMATS: Final[dict[str, type[Credential]]] = {
    "bedrock-aws": AwsCredential,
    "bedrock-api-key": BedrockApiKey,
}
"""Tags in stored records; their meaning never changes."""
