"""Recognizes, in any authorization server's words, that a refresh token is dead: only a new sign-in helps.

RFC 6749 has one word for it, ``invalid_grant``. Many servers use others. The same holds for the end of a device code.
See docs/decisions.md, "A dead refresh token has many names".
"""

from __future__ import annotations

import enum
import re
from typing import Final, Literal


class Verdict(enum.IntEnum):
    """What an error response says about the refresh token."""

    NOTHING = 0
    DOUBTFUL = 1
    """It is dead, or something in between speaks of a session or a token of its own."""
    ENDED = 2


_ENDED: Final = frozenset(
    {
        "invalid_grant",  # RFC 6749, section 5.2; Fitbit sends it as `errorType` in a list of errors
        "bad_verification_code",  # GitHub, for a dead authorization code; status 200
        "app_session_terminated",  # OpenAI
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

_ENDED_UNNAMED: Final = frozenset(
    {
        "expired_token",  # RFC 8628, section 3.5
        "token_expired",  # OpenAI; Slack
        "token_invalidated",  # OpenAI
        "token_revoked",  # Slack
        "revoked_token",  # Coinbase
        "session_expired",  # Supabase
        "session_not_found",  # Supabase
        "invalid_token",  # Spring Security, Cloud Foundry UAA; RFC 6750 has it for access tokens
    }
)
"""Words that a gateway may use of a token or session of its own: doubtful outside an error, or of another token."""

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
        "invalid_target",  # RFC 8707
        *("invalid_dpop_proof", "use_dpop_nonce"),  # RFC 9449
    }
)
"""Words for which the description is not read, because a sign-in would not help."""

_OAUTH: Final = _ABOUT_THE_CLIENT | {
    *("invalid_request", "unauthorized_client"),
    "unsupported_token_type",  # RFC 7009, section 2.2.1
    "oauth",  # Facebook: `OAuthException`
}

_OF_THE_FEATURE: Final = r"(?:grants?|flows?|types?|requests?|rotation|endpoints?|support|stores?|polic(?:y|ies))"
_SUBJECT: Final = rf"refresh ?tokens?(?! {_OF_THE_FEATURE}\b)"
_DEAD: Final = (
    r"(?:invalid(?:ated)?|(?:not|isnt|no longer) (?:valid|active)|not (?:been )?(?:found|recogni[sz]ed)|unrecogni[sz]ed"
    r"|does(?: not|nt) exist|(?:could not|cannot) be found|no such|unknown(?! error)"
    r"|expired|revoked|re ?used?|(?<!cannot be )(?<!could not be )used|consumed"
    r"|rotated|replaced|superseded|bad|incorrect|wrong|malformed|issued to (?:another|a different) client"
    r"|exceeded (?:inactivity|idle) (?:timeout|lifetime)|lifetime exceeded"
    r"|inactive|deleted|removed|disabled|blacklisted|denylisted|rejected|terminated|stale|too old|unusable)"
)
_FILLER: Final = (
    r"(?:or|and|the|an?|this|your|provided|given|supplied|passed|oauth2?|access|user|grant|authorization|code|"
    + _DEAD
    + ")"
)
_BEFORE: Final = rf"(?:{_DEAD}|no (?:matching|active|valid))"
_OF_ANOTHER: Final = r"(?:parameters?|scopes?|intervals?|leeway|windows?|configurations?)"
_CLIENT_IS: Final = r"(?:client|application|secret|scopes?)(?: ids?| that| which)?(?: is| are| was| were| has been)?"
_GAP: Final = rf"(?:(?!\b{_CLIENT_IS} {_DEAD}\b).){{0,60}}?"
_DEAD_TOKEN: Final = re.compile(
    rf"\b{_BEFORE}(?: {_FILLER}){{0,8}} {_SUBJECT}\b|\b{_SUBJECT}\b{_GAP} {_DEAD}\b(?! {_OF_ANOTHER}\b)"
)
_ENDED_ITSELF: Final = re.compile(
    rf"(?:(?:the )?(?:session|grant|authorization) (?:of|for) )?(?:(?:{_FILLER}|sent|submitted|presented) )*{_SUBJECT}"
    r"(?: (?:s|session|grant|authorization|family|itself|is|are|has|have|was|were|been|already|now))*"
    r" (?:ended|cancell?ed|does(?: not|nt) (?:match|belong)"
    r"(?!.*\b(?:scopes?|resources?|audiences?|ur[il]s?|keys?|proofs?|certificates?|secrets?)\b))\b"
)
"""Said of requests and of other parameters, too: only at the beginning of a clause, and directly of the token."""

_BESIDE: Final = re.compile(
    r"\b(?:sent|used|supplied|passed|presented|provided|given) (?:together |along )?with"
    rf" (?:{_FILLER} )*refresh ?tokens?"
)
"""As in "the redirect URI sent with the refresh token is invalid", which is not about the token."""

_CANNOT: Final = "(?:cannot|could not|unable to|failed to)"
_IN_THE_REQUEST: Final = r"(?:parameters?|body|fields?|(?:in|from) (?:the |your )?(?:request|body|form|query|headers?))"
_UNVERIFIED: Final = re.compile(
    rf"\b{_CANNOT} (?:find|decode|decrypt|parse|validate|verify)"
    rf"(?: (?:{_FILLER}|any|matching|valid|active)){{0,8}} {_SUBJECT}\b"
    rf"(?! {_IN_THE_REQUEST}\b)"
    rf"|\b{_SUBJECT}\b.{{0,30}}? (?:cannot|could not) be (?:decoded|decrypted|parsed|validated|verified|used)\b"
)
"""The token may be dead, or the server cannot tell right now."""

_TROUBLE: Final = re.compile(
    r"\b(?:(?<!in )(?<!in the )(?<!in our )(?<!from )(?<!from the )(?:database|db|redis)"
    rf"|connection (?:refused|reset|closed|lost|failed|error|timed)|{_CANNOT} connect"
    r"|(?:connection|request|query|read|lookup|server|upstream|gateway|network) time ?out"
    r"|context (?:cancell?ed|deadline)"
    r"|internal (?:server )?(?:error|failure)|server (?:error|busy)|unexpected (?:errors?|failure)|unexpectedly"
    r"|unavailable|unreachable)\b"
    r"|\Ainternal\Z"
)
"""Something failed on the server's side, so it may not know what it says."""

_CLIENT_ENDED: Final = re.compile(rf"\b{_CLIENT_IS} {_DEAD}\b")

_DEAD_ALONE: Final = re.compile(
    r"(?:(?:the|your|this) )?(?:oauth |login |user )?(?:"
    r"(?:session|token|jwt)(?! (?:types?|endpoints?|requests?|exchanges?|formats?|ur[il]s?)\b)"
    r".{0,30}? (?:invalid(?:ated)?|expired|revoked|used|terminated|timed out|not valid)\b"
    r"(?:.{0,30}| (?:because|since|due to) .*)"
    r"|token (?:was |has )?(?:not (?:been )?found|does(?: not|nt) exist)"
    r"|(?:invalid|expired|revoked) (?:session|token)(?: provided| supplied)?"  # Zoom: "Invalid Token!"
    r")"
)
"""Of a token that is not named further, a clause must say nothing else. Doubtful without an error code of OAuth."""

_DEAD_IN_OAUTH: Final = re.compile(
    r"(?:(?:the|your|this) )?session (?:was )?(?:not found|does(?: not|nt) exist)"  # Better Auth
    r"|(?:(?:the|your|this) )?token is (?:not active|inactive)"
    r"|(?:(?:the|your|this) )?(?:access|grant|authorization|consent) (?:was|is|has been) revoked(?: by the user)?"
    r"|(?:the )?(?:resource owner|user) (?:has |have )?(?:revoked|withdrawn|withdrew|deauthori[sz]ed) .{1,60}"
    r"|value passed for the token was invalid"  # X
)
"""Clauses that count only beside an error code of OAuth: other servers on the way have sessions and tokens, too."""

_FIREBASE: Final = frozenset({"TOKEN_EXPIRED", "USER_DISABLED", "USER_NOT_FOUND"})
"""Messages of Firebase about a refresh token, exactly as written: other services write sentences about their users."""

_NOT_SENT: Final = re.compile(
    r"\b(?:missing|requires?d?|empty|blank|absent|not (?:provided|supplied|specified|sent|supported|allowed|enabled)"
    r"|unsupported|grant types?|refresh ?tokens (?:are |were |have been )?disabled|disabled (?:\w+ )?refresh ?tokens"
    r"|found in (?:the |your )?(?:request|body|form|parameters?|query|payload|headers?|cookies?))\b"
)
_FOR_NOW: Final = re.compile(
    r"\b(?:temporarily|temporary (?:errors?|failures?|problems?|issues?|outage)|in progress"
    r"|(?<!after )(?<!for )(?<!by )being (?:used|rotated|refreshed|renewed|exchanged|updated|processed)"
    r"|currently (?:in use|locked)"
    r"|concurrently|concurrent (?:requests?|refresh\w*|use[sd]?|usage|renewals?|rotations?|updates?)"
    r"|not (?:yet (?:valid|active)|(?:valid|active) yet)|(?:retry|try again) (?:later|shortly|soon|in)"
    r"|(?:retry|try again) after(?! (?:re ?)?(?:sign|log|auth))"
    r"|rate limit\w*|too (?:often|frequently)"
    r"|(?:invalid|wrong|incorrect|unknown|bad) client (?:secrets?|ids?|credentials?|authentication))\b"
)
"""A text that says this means no end: it is so for now, or about the client."""

_FOR_GOOD: Final = re.compile(r"\b(?:revoked|reused?)\b")
"""Never for now; a doubt remains. Likewise if the user is asked to sign in."""
_TRY_AGAIN: Final = re.compile(r"\b(?:retry|try again)\b")
_SIGN_IN: Final = re.compile(
    r"\b(?:(?:sign|signing|log|logging) ?(?:in|on)|login|re ?(?:login|authenticate|authori[sz]e)"
    r"|(?:obtain|get|generate|request) (?:an? )?new (?:refresh |oauth )?tokens?)\b"
)

_OR: Final = re.compile(r"\b(?:missing|empty) (?:or|and) ")
"""As in "missing or invalid refresh token", which is said of a token that was sent."""

_REQUIRES: Final = re.compile(rf"\brequires an? (?:active|valid|unexpired)(?= {_SUBJECT})")
"""Said of a token that was sent, too."""

_ANOTHER_TOKEN: Final = re.compile(r"\b(?:access|bearer|id|api|auth|csrf|xsrf|jwt) ?tokens?\b|\bjwt\b")

_DECLINED_CODE: Final = re.compile(r"(?<!permission_)(?:denied|declined|cancel(?:l?ed)?)(?![a-z])")
_EXPIRED_CODE: Final = re.compile(r"(?<![a-z])expired(?![a-z])")
_DEVICE_CODE: Final = rf"device ?codes?(?! {_OF_THE_FEATURE}\b)"
_DECLINED: Final = re.compile(
    r"\buser (?:has |have )?(?:denied|declined|cancell?ed)\b|\b(?:denied|declined|cancell?ed) by (?:the )?user\b"
)
_DEAD_DEVICE_CODE: Final = re.compile(
    rf"\b{_DEAD}(?: {_FILLER}){{0,4}} {_DEVICE_CODE}\b"
    rf"|\b{_DEVICE_CODE}\b.{{0,40}}? (?:{_DEAD}|ended|cancell?ed|does(?: not|nt) (?:match|belong))\b"
)
_OF_THE_CLIENT: Final = re.compile(r"client|secret|key|licen[cs]e|subscription|certificate")

_CLAUSES: Final = re.compile(r"[.,;:!?()]+(?=\s|$)|[()]+|\s-\s")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")

MAX_TEXT: Final = 500
"""Characters of a text that are looked at."""


def normalize(word: str) -> str:
    """Return an error code in the style of OAuth: ``InvalidGrantException`` is ``invalid_grant``."""
    return _plain(word).removesuffix(" exception").removesuffix(" error").replace(" ", "_")


def judge(words: list[str], texts: list[str] = [], *, is_error: bool = True) -> Verdict:  # noqa: B006  read only
    """Return whether an error response says that the refresh token, or the sign-in it stands for, is dead.

    Args:
        words: Its error codes.
        texts: Its descriptions.
        is_error: Whether it is an error of the token endpoint for certain: a gateway may say of a token of its own that
            it has expired, but does not know refresh tokens.
    """
    codes = {normalize(word) for word in words if not re.search(r"\s", word.strip())}  # else it is a sentence
    if codes & _ENDED or any(_of_clause(code.replace("_", " ")) is Verdict.ENDED for code in codes):
        return Verdict.ENDED
    if is_error and (codes & _ENDED_IN_AN_ERROR or _FIREBASE.intersection(texts)):
        return Verdict.ENDED
    found = [Verdict.NOTHING]
    if codes & _ENDED_UNNAMED:
        found.append(Verdict.ENDED if is_error and not any(map(_of_another_token, texts)) else Verdict.DOUBTFUL)
    if not codes & _ABOUT_THE_CLIENT:
        troubled = any(_TROUBLE.search(_plain(word)) for word in words)
        in_oauth = bool(codes & _OAUTH)
        found += [_of_text(text, is_error=is_error, in_oauth=in_oauth, troubled=troubled) for text in texts]
    return max(found)


def judge_device(words: list[str], texts: list[str], *, is_error: bool = True) -> Literal["declined", "expired"] | None:
    """Return how a device sign-in ended (RFC 8628, section 3.5), in any server's words; None if it goes on.

    Args:
        words: The error codes of the response.
        texts: Its descriptions.
        is_error: Whether it is an error of the token endpoint for certain; if not, only a device code that is named
            counts.
    """
    codes = {normalize(word) for word in words}
    if codes & _ABOUT_THE_CLIENT or any(map(_OF_THE_CLIENT.search, codes)):
        return None
    clauses = [clause for text in texts if not _FOR_NOW.search(_plain(text)) for clause in _clauses(text)]
    if any(map(_DECLINED_CODE.search, codes)) or (is_error and any(map(_DECLINED.search, clauses))):
        return "declined"
    named = any(_DEAD_DEVICE_CODE.search(clause) and not _NOT_SENT.search(clause) for clause in clauses)
    return "expired" if named or any(map(_EXPIRED_CODE.search, codes)) else None


def is_oauth_code(word: str) -> bool:
    """Return whether a word is an error code of OAuth, so that it means an error wherever it stands."""
    return normalize(word) in _OAUTH


def _plain(text: str) -> str:
    """Return a text in lower case, with spaces for everything else."""
    return _SEPARATORS.sub(" ", _CAPITAL.sub(" ", text[:MAX_TEXT]).lower().replace("'", "")).strip()


def _clauses(text: str) -> list[str]:
    return [_plain(clause) for clause in _CLAUSES.split(text[:MAX_TEXT])]


def _of_another_token(text: str) -> bool:
    """Return whether a text speaks of a token that was not sent."""
    if _ANOTHER_TOKEN.search(_plain(text)):
        return True
    return any("token" in clause and _NOT_SENT.search(_OR.sub("", clause)) for clause in _clauses(text))


def _of_text(text: str, *, is_error: bool, in_oauth: bool, troubled: bool) -> Verdict:
    if normalize(text) == "invalid_grant":
        return Verdict.ENDED
    plain, clauses = _plain(text), _clauses(text)
    verdict = max(_of_clause(clause, is_error=is_error, in_oauth=in_oauth) for clause in clauses)
    ended, signs_in = verdict is Verdict.ENDED, _SIGN_IN.search(plain)
    if _FOR_NOW.search(plain):
        return Verdict.DOUBTFUL if ended and (signs_in or _FOR_GOOD.search(plain)) else Verdict.NOTHING
    if ended:
        doubtful = _TROUBLE.search(plain) or (_TRY_AGAIN.search(plain) and not signs_in)
        return Verdict.DOUBTFUL if doubtful else verdict
    if any(map(_UNVERIFIED.search, clauses)):
        if troubled or _TROUBLE.search(plain) or _CLIENT_ENDED.search(plain):
            return Verdict.NOTHING
        return Verdict.ENDED if signs_in else verdict
    return verdict


def _of_clause(clause: str, *, is_error: bool = False, in_oauth: bool = False) -> Verdict:
    clause = _BESIDE.sub("", _REQUIRES.sub("no active", _OR.sub("", clause)))
    if _NOT_SENT.search(clause):
        return Verdict.NOTHING
    alone = (is_error or in_oauth) and _DEAD_ALONE.fullmatch(clause)
    dead = _DEAD_TOKEN.search(clause) or _ENDED_ITSELF.match(clause)
    if dead or (in_oauth and (alone or _DEAD_IN_OAUTH.fullmatch(clause))):
        return Verdict.ENDED
    return Verdict.DOUBTFUL if alone or _UNVERIFIED.search(clause) else Verdict.NOTHING
