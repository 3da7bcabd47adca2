"""The kinds of Claude credentials: a renewable OAuth token, a static API key, and a static bearer token."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.plugin import ApiKey, Credential, OAuthToken


_EXPORTED_HEADERS: Final = frozenset({"anthropic-beta", "anthropic-workspace-id"})


@frozen(kw_only=True)
class ClaudeToken(OAuthToken):
    """An OAuth access token for the Claude API, sent as a bearer token with the beta header."""

    def _environment(self) -> dict[str, str]:
        """Return ``ANTHROPIC_AUTH_TOKEN``, and Anthropic's headers, which clients do not add to it by themselves.

        Anthropic's SDKs read headers from ``ANTHROPIC_CUSTOM_HEADERS``, one per line. So does Claude Code, but its own
        ``anthropic-beta`` takes precedence; it reads additional betas from ``ANTHROPIC_BETAS``. The server may reject
        clients that support neither variable.
        """
        headers = {name: value for name, value in self.extra_headers if name in _EXPORTED_HEADERS}
        variables = {"ANTHROPIC_AUTH_TOKEN": self.access_token.reveal()}
        if headers:
            variables["ANTHROPIC_CUSTOM_HEADERS"] = "\n".join(f"{name}: {value}" for name, value in headers.items())
        if "anthropic-beta" in headers:
            variables["ANTHROPIC_BETAS"] = headers["anthropic-beta"]
        return variables


@frozen(kw_only=True)
class ClaudeProfileToken(ClaudeToken):
    """The token of a sign-in that Anthropic's own tools store; its refresh token stays in their file."""

    @property
    def renewable(self) -> bool:
        """Always true: the refresh token is read from the file when needed."""
        return True


@frozen(kw_only=True)
class ClaudeApiKey(ApiKey):
    """An API key from the Claude Console.

    It is sent as ``x-api-key``, which every version of the API accepts and which cannot be mistaken for an OAuth
    token; newer SDKs send keys as bearer tokens.
    """

    header: str = "x-api-key"

    def _environment(self) -> dict[str, str]:
        return {"ANTHROPIC_API_KEY": self.key.reveal()}


@frozen(kw_only=True)
class ClaudeAuthToken(ApiKey):
    """A static bearer token, such as a gateway's; it is sent without the beta header."""

    def _environment(self) -> dict[str, str]:
        return {"ANTHROPIC_AUTH_TOKEN": self.key.reveal()}


FORMATS: Final[dict[str, type[Credential]]] = {
    "claude-oauth": ClaudeToken,
    "claude-anthropic-profile": ClaudeProfileToken,
    "claude-api-key": ClaudeApiKey,
    "claude-auth-token": ClaudeAuthToken,
}
"""Tags in stored records; their meaning never changes."""
