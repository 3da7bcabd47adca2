"""Recognizes, in any authorization server's words, that a refresh token is dead: only a new sign-in helps.

RFC 6749 has one word for it, ``invalid_grant``. Many servers use others.
See docs/decisions.md, "A dead refresh token has many names".
"""

from __future__ import annotations

import re
from typing import Final


_ENDED: Final = frozenset(
    {
        "invalid_grant",  # RFC 6749, section 5.2; Fitbit sends it as `errorType` in a list of errors
        "expired_token",  # RFC 8628, section 3.5
        "bad_verification_code",  # GitHub, for a dead authorization code; status 200
        "token_expired",  # OpenAI; Slack
        "token_invalidated",  # OpenAI
        "token_revoked",  # Slack
        "app_session_terminated",  # OpenAI
        "session_expired",  # Supabase
        "session_not_found",  # Supabase
        "invalid_token",  # Spring Security, Cloud Foundry UAA; Zoom: `"reason": "Invalid Token!"`
        "grant_expired",
        "grant_revoked",
        "grant_not_found",
        "token_reused",  # only refresh tokens are used once, like the next one
        "token_reuse_detected",
        "refresh_token_mismatch",
    }
)
"""Words that do not mention the refresh token. For those that do, `_DEAD` and `_SUBJECT` are enough, such as GitHub's
``bad_refresh_token``, Slack's ``invalid_refresh_token``, OpenAI's ``refresh_token_reused``, HubSpot's
``BAD_REFRESH_TOKEN``, Supabase's ``refresh_token_not_found`` and Follow Up Boss's ``expired-refresh-token``."""

_ENDED_IN_AN_ERROR: Final = frozenset(
    {
        "token_inactive",  # Ory
        "invalid_code",  # Zoho, for a code and for a refresh token; status 200
    }
)
"""Words that count only in an error of the token endpoint: beside it, they may be a gateway's about something else."""

_ABOUT_THE_CLIENT: Final = frozenset(
    {
        "invalid_client",  # this and the next three: RFC 6749, section 5.2
        "invalid_scope",
        "unsupported_grant_type",
        "unsupported_response_type",
        "incorrect_client_credentials",  # GitHub, like the next one; status 200
        "redirect_uri_mismatch",
    }
)
"""Words for which the description is not read, because a sign-in would not help."""

_OAUTH: Final = _ABOUT_THE_CLIENT | {"invalid_request", "unauthorized_client", "invalid_target", "invalid_dpop_proof"}

_SUBJECT: Final = r"refresh ?tokens?(?! (?:grants?|flows?|types?|requests?|rotation))"
_DEAD: Final = (
    r"(?:invalid(?:ated)?|(?:not|isnt|no longer) (?:valid|active)|not (?:found|recogni[sz]ed)|does(?: not|nt) exist"
    r"|(?:could not|cannot) be found|no such|unknown|expired|revoked|re ?used|reuse (?:was )?detected|used|consumed"
    r"|rotated|replaced|superseded|bad|incorrect|wrong|malformed|issued to (?:another|a different) client"
    r"|exceeded (?:inactivity|idle) (?:timeout|lifetime)|lifetime exceeded"
    r"|inactive|deleted|removed|disabled|blacklisted|denylisted|rejected|terminated|stale)"
)
_FILLER: Final = (
    r"(?:or|and|the|an?|this|your|provided|given|supplied|passed|oauth2?|access|user|grant|authorization|code|"
    + _DEAD
    + ")"
)
_DEAD_TOKEN: Final = re.compile(rf"\b{_DEAD}(?: {_FILLER}){{0,8}} {_SUBJECT}\b|\b{_SUBJECT}\b.{{0,60}}? {_DEAD}\b")
_DEAD_ALONE: Final = re.compile(
    r"(?:(?:the|your|this) )?(?:session|token)(?! (?:types?|endpoints?|requests?|exchanges?|formats?|ur[il]s?)\b)"
    r".{0,30}? (?:invalid|expired|revoked|used|terminated|not valid)\b.{0,30}"
)
"""Of a token that is not named further, a clause must say nothing else."""

_DEAD_IN_OAUTH: Final = re.compile(
    r"(?:(?:the|your|this) )?session (?:was )?(?:not found|does(?: not|nt) exist)"  # Better Auth
    r"|(?:(?:the|your|this) )?token is (?:not active|inactive)"
    r"|(?:(?:the|your|this) )?(?:grant|authorization|consent) (?:was|is|has been) revoked"
    r"|value passed for the token was invalid"  # X
)
"""Clauses that count only beside an error code of OAuth: other servers on the way have sessions and tokens, too."""

_USER_GONE: Final = frozenset({"USER_DISABLED", "USER_NOT_FOUND"})
"""Messages of Firebase about a refresh token, exactly as written: other services write sentences about their users."""

_NOT_SENT: Final = re.compile(
    r"\b(?:missing|requires?d?|empty|blank|absent|not (?:provided|supplied|specified|sent|supported|allowed|enabled)"
    r"|unsupported|grant types?"
    r"|found in (?:the |your )?(?:request|body|form|parameters?|query|payload|headers?|cookies?))\b"
)
_FOR_NOW: Final = re.compile(r"\b(?:temporar\w*|being|in progress|currently (?:in use|locked))\b")
"""A text that says this means no end, whatever else it says."""

_OR: Final = re.compile(r"\b(?:missing|empty) (?:or|and) ")
"""As in "missing or invalid refresh token", which is said of a token that was sent."""

_CLAUSES: Final = re.compile(r"[.,;:!?()]+| - ")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")

MAX_TEXT: Final = 500
"""Characters of a text that are looked at."""


def normalize(word: str) -> str:
    """Return an error code in the style of OAuth: ``InvalidGrantException`` is ``invalid_grant``."""
    return _plain(word).removesuffix(" exception").removesuffix(" error").replace(" ", "_")


def means_ended(words: list[str], texts: list[str] = [], *, is_error: bool = True) -> bool:  # noqa: B006  read only
    """Return whether an error response says that the refresh token, or the sign-in it stands for, is dead.

    Args:
        words: Its error codes.
        texts: Its descriptions.
        is_error: Whether it is an error of the token endpoint for certain: a gateway may say of a token of its own that
            it has expired, but does not know refresh tokens.
    """
    codes = {normalize(word) for word in words}
    if codes & _ENDED or any(_says_dead(code.replace("_", " ")) for code in codes):
        return True
    if is_error and (codes & _ENDED_IN_AN_ERROR or _USER_GONE.intersection(texts)):
        return True
    if codes & _ABOUT_THE_CLIENT:
        return False
    final = [text for text in texts if not _FOR_NOW.search(_plain(text))]
    clauses = [_plain(clause) for text in final for clause in _CLAUSES.split(text[:MAX_TEXT])]
    return (
        any(_says_dead(clause, is_error=is_error) for clause in clauses)
        or (bool(codes & _OAUTH) and any(_DEAD_IN_OAUTH.fullmatch(clause) for clause in clauses))
        or any(normalize(text) == "invalid_grant" for text in texts)
    )


def is_oauth_code(word: str) -> bool:
    """Return whether a word is an error code of OAuth, so that it means an error wherever it stands."""
    return normalize(word) in _OAUTH


def _plain(text: str) -> str:
    """Return a text in lower case, with spaces for everything else."""
    return _SEPARATORS.sub(" ", _CAPITAL.sub(" ", text[:MAX_TEXT]).lower().replace("'", "")).strip()


def _says_dead(clause: str, *, is_error: bool = False) -> bool:
    clause = _OR.sub("", clause)
    if _NOT_SENT.search(clause):
        return False
    return bool(_DEAD_TOKEN.search(clause) or (is_error and _DEAD_ALONE.fullmatch(clause)))
