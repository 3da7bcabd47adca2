"""The kinds of Claude credential: a renewable OAuth token, a static API key and a static bearer token."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.model import ApiKey, Credential, OAuthToken


@frozen(kw_only=True)
class ClaudeToken(OAuthToken):
    """An OAuth access token for the Claude API, sent as a bearer token along with the beta header."""

    def _environment(self) -> dict[str, str]:
        """Return ``ANTHROPIC_AUTH_TOKEN``, and the beta header in ``ANTHROPIC_CUSTOM_HEADERS``.

        Clients send a token from this variable as a bearer token without that header, so it is handed over too;
        clients that do not know ``ANTHROPIC_CUSTOM_HEADERS`` may be refused.
        """
        variables = {"ANTHROPIC_AUTH_TOKEN": self.access_token.reveal()}
        beta = dict(self.extra_headers).get("anthropic-beta")
        return variables | ({"ANTHROPIC_CUSTOM_HEADERS": f"anthropic-beta: {beta}"} if beta else {})


@frozen(kw_only=True)
class ClaudeApiKey(ApiKey):
    """A key of the Claude Console.

    It is sent as ``x-api-key``, which every version of the API takes and which cannot be mistaken for an OAuth token;
    newer SDKs send keys as bearer tokens.
    """

    header: str = "x-api-key"

    def _environment(self) -> dict[str, str]:
        return {"ANTHROPIC_API_KEY": self.key.reveal()}


@frozen(kw_only=True)
class ClaudeAuthToken(ApiKey):
    """A static bearer token, such as that of a gateway; no beta header goes along with it."""

    def _environment(self) -> dict[str, str]:
        return {"ANTHROPIC_AUTH_TOKEN": self.key.reveal()}


FORMATS: Final[dict[str, type[Credential]]] = {
    "claude-oauth": ClaudeToken,
    "claude-api-key": ClaudeApiKey,
    "claude-auth-token": ClaudeAuthToken,
}
"""Tags in stored records; they never change their meaning."""
