"""One edit each of `one_provider`, and what the contract kit says: the test that fails, and a part of its sentence.

Each is (text that is replaced, what replaces it, test, part of the sentence).
"""

from __future__ import annotations

import sys
from typing import Final


RENEWS = "test_a_renewal_returns_a_newer_credential[Pago_Pago]"
SIGNS_IN = "test_each_owned_source_signs_in[Pago_Pago]"
KEEPS_TOKEN = "test_the_refresh_token_of_the_server_is_kept"  # a name
LOST = "test_a_lost_answer_is_an_unknown_outcome"
UNSENT = "test_what_was_not_sent_is_worth_another_try"
ERROR = "test_a_server_error_is_worth_another_try"
LIMIT = "test_a_rate_limit_is_heeded"
REFUSED = "test_a_refused_renewal_needs_the_user"
VARIABLES = "test_hooks_change_no_environment_variable"
RUNNING = "test_hooks_leave_nothing_running"
OWN = "test_each_sign_in_gets_its_own_credential"
UNQUOTED = "test_an_error_does_not_quote_the_response"
NONSENSE = "test_an_answer_that_makes_no_sense_is_an_error_of_the_contract[an empty object]"

_REFRESH = "    answer = client(profile).refresh(credential.refresh_token)\n"
_PROGRESS = '    reporter.progress("renewing")\n'
_LEASED = '    return Lease(obtained=now, lifetime=lifetime, password=password, lease=number, source="lease")\n'
_RENEWED = "        source=credential.source,\n"
_KEPT = "        refresh_token=answer.refresh_token or credential.refresh_token,\n"
_SIGNED_IN = '        source="sign-in",\n'
_OBTAINED = "        obtained=answer.requested or profile.clock.now(),\n        lifetime=answer.expires_in,\n"
_ASKS = '    interaction.open_url(f"https://{HOST}/authorize")\n'
_REVOKE = "        client(profile).revoke(credential.renewal_secret)\n"
_DESCRIBED = "        return inspect(profile, credential)\n"
_NAIVE = (
    "        obtained=profile.clock.now(),\n        lifetime=(datetime.utcfromtimestamp(profile.clock.now().wall"
    " + (answer.expires_in or 0)).timestamp() - profile.clock.now().wall),\n"
)
_WAITS = '__import__("subprocess").Popen([__import__("sys").executable, "-c", "input()"], stdin=-1)'


def _caught(kinds: str, then: str) -> str:
    """Return the renewal with another way to treat some errors."""
    call = "client(profile).refresh(credential.refresh_token)"
    return f"    try:\n        answer = {call}\n    except {kinds} as error:\n        {then}\n"


BROKEN: Final[dict[str, tuple[str, str, str, str]]] = {
    # --- results of refresh
    "refresh returns a dict": (
        _PROGRESS,
        '    return {"access_token": "x"}\n',
        RENEWS,
        "dict instead of Credential",
    ),
    "refresh returns nothing": (_PROGRESS, "    return None\n", RENEWS, "returned nothing instead of Credential"),
    "refresh returns its argument": (_PROGRESS, "    return credential\n", RENEWS, "returned its argument"),
    "refresh reuses the refresh token": (
        _KEPT,
        "        refresh_token=credential.refresh_token,\n",
        KEEPS_TOKEN,
        "sent a new refresh token, and refresh did not return it",
    ),
    "refresh drops the refresh token": (
        _KEPT,
        "        refresh_token=answer.refresh_token,\n",
        KEEPS_TOKEN,
        "dropped the old one: keep it",
    ),
    "refresh returns no refresh token": (_KEPT, "", RENEWS, "not renewable: keep the refresh token"),
    "refresh only moves the time": (
        _PROGRESS,
        "    return __import__('attrs').evolve(credential, obtained=profile.clock.now())\n",
        RENEWS,
        "refresh sent nothing and returned the secret that it was given: get a newer one",
    ),
    "refresh keeps the old time": (
        _LEASED,
        _LEASED.replace("obtained=now", "obtained=old.obtained if old else now"),
        RENEWS,
        "set obtained to profile.clock.now()",
    ),
    "refresh says another source": (
        _RENEWED,
        '        source="elsewhere",\n',
        RENEWS,
        "keep that of the credential it renews",
    ),
    "refresh says another identity": (
        _RENEWED,
        _RENEWED + '        identity=Identity(account="eve"),\n',
        RENEWS,
        "keep that of the sign-in",
    ),
    "an unknown format": ('"lease": Lease, ', "", RENEWS, "format that is not in its description"),
    "a lease is extended although it was refused": (
        "reason is Reason.REFUSED",
        "False",
        "test_a_rejected_credential_is_replaced",
        "look at reason",
    ),
    # --- effects of refresh
    "refresh hangs": (_PROGRESS, "    threading.Event().wait()\n", RENEWS, "still running after 1 s: give each wait"),
    "refresh writes a file": (
        _PROGRESS,
        '    open(os.path.join(os.environ["TMPDIR"], "cache"), "w").close()\n',
        RENEWS,
        "core stores the credential",
    ),
    "refresh asks the user": (
        _PROGRESS,
        '    reporter.confirm("Renew?")\n',
        RENEWS,
        "asked the user (confirm): raise LoginRequired",
    ),
    "a sign-in prints what the user pasted": (
        "    if code is None:\n",
        "    print(code and code.reveal())\n    if code is None:\n",
        SIGNS_IN,
        "a secret in standard output",
    ),
    "refresh prints a secret": (
        _REFRESH,
        _REFRESH + "    print(answer.access_token.reveal())\n",
        RENEWS,
        "a secret in standard output",
    ),
    "refresh logs a secret": (
        _REFRESH,
        _REFRESH + '    __import__("logging").getLogger("one").debug(answer.access_token.reveal())\n',
        RENEWS,
        "a secret in a log record of 'one'",
    ),
    "refresh warns with a secret": (
        _REFRESH,
        _REFRESH + '    __import__("warnings").warn(answer.access_token.reveal())\n',
        RENEWS,
        "a secret in a UserWarning",
    ),
    "a secret in a plain field": (
        "        token_endpoint=TOKEN_URL,\n" + _RENEWED,
        "        token_endpoint=TOKEN_URL,\n        issuer=answer.access_token.reveal(),\n" + _RENEWED,
        RENEWS,
        "plain field issuer of OAuthToken: make it a Secret",
    ),
    "a secret in the text of an error": (
        _REFRESH,
        _caught("TransientError", "raise TransientError(credential.refresh_token.reveal()) from error"),
        UNSENT,
        "the error of refresh holds a secret",
    ),
    "refresh exits": (_PROGRESS, "    raise SystemExit(1)\n", RENEWS, "SystemExit"),
    "refresh raises KeyError": (
        "except (KeyError, TypeError, ValueError)",
        "except (TypeError, ValueError)",
        NONSENSE,
        "one of the errors of freshkey.errors instead",
    ),
    "refresh sets a variable": (
        _PROGRESS,
        '    os.environ["ONE_TOKEN"] = credential.token.reveal()\n    del os.environ["ONE_TOKEN"]\n',
        VARIABLES,
        "refresh changed the environment variable ONE_TOKEN: other threads",
    ),
    "refresh leaves a thread": (
        _PROGRESS,
        '    threading.Thread(target=threading.Event().wait, name="one-watch", daemon=True).start()\n',
        RUNNING,
        "refresh left the thread 'one-watch' running: end it before",
    ),
    "refresh leaves a program": (
        _PROGRESS,
        f"    global waits\n    waits = {_WAITS}\n",
        RUNNING,
        f"refresh left the program {sys.executable!r} running",
    ),
    # --- errors of refresh
    "a lost answer is transient": (
        _REFRESH,
        _caught("OutcomeUnknown", 'raise TransientError("try again") from None'),
        LOST,
        "let OutcomeUnknown through",
    ),
    "a server error asks for a sign-in": (
        _REFRESH,
        _caught("TransientError", 'raise LoginRequired("sign in") from None'),
        ERROR,
        "status 503 ended with LoginRequired",
    ),
    "no connection asks for a sign-in": (
        _REFRESH,
        _caught("TransientError", 'raise LoginRequired("sign in") from None'),
        UNSENT,
        "let TransientError through",
    ),
    "a rate limit is a refusal": (
        "response.status == 429 or response.status >= 500",
        "response.status >= 500",
        LIMIT,
        "status 429 ended with ProviderRefused",
    ),
    "Retry-After is ignored": (
        ", retry_after=retry_after(response.headers, now)",
        "",
        LIMIT,
        "pass on freshkey.plugin.retry_after",
    ),
    "a refusal is transient": (
        _REFRESH,
        _caught("LoginRequired", 'raise TransientError("try again") from None'),
        REFUSED,
        "raise LoginRequired",
    ),
    "a failure returns the old credential": (
        _REFRESH,
        _caught("TransientError", "return __import__('attrs').evolve(credential)"),
        ERROR,
        "ended with no error",
    ),
    "a refusal quotes a page": (
        'raise ProviderRefused("the role has no access")',
        'raise ProviderRefused(f"the role has no access: {response.body.decode()}")',
        f"{UNQUOTED}[a page]",
        "the error of refresh quotes a page with which the server answered (status 400): show the status",
    ),
    "a server error quotes JSON": (
        'raise TransientError("the server is busy"',
        'raise TransientError("the server is busy, try later: " + response.body.decode()[-50:]',
        f"{UNQUOTED}[an unknown member]",
        "the error of refresh quotes an unknown member",
    ),
    "an inspection quotes a text": (
        "Inspection(validity=Validity.VALID if",
        "Inspection(detail=response.body.decode(), validity=Validity.VALID if",
        f"{UNQUOTED}[plain text]",
        "the error of describe quotes plain text",
    ),
    # --- times
    "a lifetime in milliseconds": (
        'float(answer["seconds"])',
        'float(answer["seconds"]) * 1e6',
        RENEWS,
        "lifetime of 600000000 s",
    ),
    "an OAuth lifetime in milliseconds": (
        "        lifetime=answer.expires_in,\n",
        "        lifetime=(answer.expires_in or 0) * 1000,\n",
        SIGNS_IN,
        "the server said 3600 s",
    ),
    "a naive time": (_OBTAINED, _NAIVE, SIGNS_IN, "aware UTC times"),
    "another clock": (
        "        obtained=answer.requested or profile.clock.now(),\n",
        "        obtained=__import__('freshkey.plugin').plugin.SYSTEM.now(),\n",
        SIGNS_IN,
        "set obtained to profile.clock.now()",
    ),
    # --- sign-in and sources
    "a sign-in of another source": (_SIGNED_IN, '        source="other",\n', SIGNS_IN, "set it to source.id"),
    "a sign-in that does not ask first": (
        _ASKS,
        '    client(profile).exchange(Grant(code=Secret("x"), pkce=Pkce.create(), redirect_uri="x", state="x"))\n'
        + _ASKS,
        "test_without_a_user_a_sign_in_is_refused_at_once",
        "before it asked the user",
    ),
    "detect uses the network": (
        '    key = Secret(os.environ.get("ONE_KEY", ""))\n',
        '    profile.send(Request(method="GET", url=f"https://{HOST}/me"))\n    key = Secret(os.environ["ONE_KEY"])\n',
        "test_detect_is_offline",
        "tried: ",
    ),
    "detect shows the value": (
        'origin="variable ONE_KEY"',
        'origin=f"ONE_KEY={key.reveal()}"',
        "test_detect_never_shows_the_value",
        "holds a secret",
    ),
    "a token is kept by the module": (
        "    answer = client(profile).exchange(grant)\n",
        "    global kept\n    answer = kept = globals().get('kept') or client(profile).exchange(grant)\n",
        OWN,
        "returned what the server sent to the first: keep no credential between calls",
    ),
    "a lease is kept by the module": (
        'return lease(profile, {"role": os.environ["ONE_ROLE"]})\n    if source.id == "tool"',
        'return globals().setdefault("kept", lease(profile, {"role": "it"}))\n    if source.id == "tool"',
        OWN,
        "a second sign-in from source 'lease' returned what the server sent to the first",
    ),
    "detect always finds something": (
        'if os.environ.get("ONE_ROLE") else None',
        "",
        "test_detect_finds_nothing_in_an_empty_world",
        "detect of source 'lease' found something (variable ONE_ROLE) without settings",
    ),
    # --- what another program renews
    "a borrowed token is kept": (
        "        newer = borrow(profile)\n",
        "        newer = __import__('attrs').evolve(credential, obtained=profile.clock.now())\n",
        "test_what_the_other_program_renewed_is_returned",
        "a newer credential for source 'tool', and refresh returned the old one: read the place again",
    ),
    "a refused token is borrowed again": (
        "if reason is Reason.REFUSED and newer",
        "if False and newer",
        "test_what_was_refused_is_not_borrowed_again",
        "refused the credential of source 'tool', and refresh returned it again: look at reason",
    ),
    "a token that is gone is worth another try": (
        'LoginRequired("nobody is signed in to the tool") from None',
        'TransientError("the tool has no token") from None',
        "test_what_is_gone_needs_the_user",
        "source 'tool' is gone, and refresh ended with TransientError",
    ),
    # --- description
    "describe opens a file": (
        _DESCRIBED,
        _DESCRIBED + "    open(os.devnull).close()\n",
        "test_describe_does_no_io",
        "tried: open",
    ),
    "describe sends a request": (
        _DESCRIBED,
        _DESCRIBED + '    if profile:\n        profile.send(Request(method="GET", url=f"https://{HOST}/me"))\n',
        "test_describe_does_no_io",
        "tried: ",
    ),
    "an import of a heavy library": (
        "import os\n",
        "import os\nimport httpx\n",
        "test_its_import_is_cheap",
        "import them in the functions that need them",
    ),
    "single use is not said": (
        "        single_use=True,\n",
        "",
        KEEPS_TOKEN,
        "set Description.single_use to True",
    ),
    "a host is a URL": (
        "(HOST,) if profile else ()",
        '("https://" + HOST,)',
        "test_it_fits_the_hooks",
        "write 'id.one.example'",
    ),
    "the hosts are missing": ("(HOST,) if profile else ()", "()", SIGNS_IN, "add id.one.example to Description.hosts"),
    "a default that can be changed": (
        '    region: str = "here"\n',
        '    region: str = "here"\n    tags: list = []\n',
        "test_settings_have_defaults",
        "use attrs.field(factory=",
    ),
    # --- sign-out
    "a revocation swallows errors": (
        _REVOKE,
        "        try:\n    " + _REVOKE + "        except TransientError:\n            pass\n",
        "test_a_revocation_that_fails_is_not_one",
        "status 503 ended with no error",
    ),
    "a revocation does nothing": (
        _REVOKE,
        "        pass\n",
        "test_a_revocation_without_a_network_is_not_one",
        "without asking the server",
    ),
    # --- whoami
    "whoami never asks": (
        _DESCRIBED,
        "        return Inspection(validity=Validity.VALID)\n",
        "test_an_unreachable_provider_is_an_answer",
        "VALID without a network",
    ),
    "whoami does not look at the status": (
        "Validity.VALID if response.status == 200 else Validity.REFUSED",
        "Validity.VALID",
        "test_a_rejected_credential_is_not_valid",
        "answered 401, and the inspection says VALID",
    ),
    # --- what the first source does not show
    "a lease prints its renewal secret": (
        "        return self.password\n",
        "        return self.lease\n",
        "test_what_authorizes_is_wrapped",
        "does not carry the token",
    ),
    "a lease's renewal secret in the environment": (
        "    def _headers(self",
        "    def _environment(self):\n        return {'LEASE': self.lease.reveal()}\n\n    def _headers(self",
        "test_requests_carry_no_refresh_token",
        "environment()",
    ),
    # --- what is sent
    "a single-use token is sent again": (
        _REFRESH,
        _caught("OutcomeUnknown", "answer = client(profile).refresh(credential.refresh_token)"),
        LOST,
        "sent a single-use token 2 times",
    ),
    "a secret in a URL": (
        "json_body(LEASE_URL, fields)",
        'json_body(LEASE_URL + "?lease=" + fields.get("lease", ""), fields)',
        RENEWS,
        "put a secret into a URL",
    ),
    "the lifetime is dropped": (_OBTAINED, _OBTAINED.partition("\n")[0] + "\n", RENEWS, "returned no lifetime"),
    "Retry-After in milliseconds": (
        "retry_after=retry_after(response.headers, now)",
        "retry_after=(retry_after(response.headers, now) or 0) * 1000",
        LIMIT,
        "the error has retry_after=7000",
    ),
}
