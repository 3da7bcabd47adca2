"""The kinds of Claude credential: a renewable OAuth token, a static API key and a static bearer token."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.plugin import ApiKey, Credential, OAuthToken


_EXPORTED_HEADERS: Final = frozenset({"anthropic-beta", "anthropic-workspace-id"})


@frozen(kw_only=True)
class ClaudeToken(OAuthToken):
    """An OAuth access token for the Claude API, sent as a bearer token along with the beta header."""

    def _environment(self) -> dict[str, str]:
        """Return ``ANTHROPIC_AUTH_TOKEN``, and the vendor's headers, which clients do not send with it by themselves.

        Anthropic's SDKs read them from ``ANTHROPIC_CUSTOM_HEADERS``, one a line. So does Claude Code, but its own
        ``anthropic-beta`` wins; it takes further betas from ``ANTHROPIC_BETAS``. A client that knows neither may be
        refused.
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
    """The token of a sign-in that Anthropic's own tools keep; what renews it stays in their file."""

    @property
    def renewable(self) -> bool:
        """It is: the refresh token is read from the file when it is needed."""
        return True


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
    "claude-anthropic-profile": ClaudeProfileToken,
    "claude-api-key": ClaudeApiKey,
    "claude-auth-token": ClaudeAuthToken,
}
"""Tags in stored records; they never change their meaning."""
