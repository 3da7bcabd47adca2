from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused
from freshkey.oauth import Server, read_callback, read_pasted
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


STATE = "xSBYUrJ5bhVQr-Ht6S0vW6XrjVvYfX3ZxFhbV0gB7nA"
GOOD = f"code=c0de&state={STATE}"
SERVER = Server(
    authorization_endpoint="https://id.example.com/a",
    token_endpoint="https://id.example.com/t",
    issuer="https://id.example.com",
)
STRICT = evolve(SERVER, iss_required=True)
ANONYMOUS = evolve(SERVER, issuer=None)
ISS = "&iss=https%3A%2F%2Fid.example.com"


# --- redirects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "query"),
    [
        (SERVER, GOOD),
        (SERVER, f"state={STATE}&code=c0de"),
        (SERVER, GOOD + "&session_state=1&scope=a+b&empty="),
        (SERVER, GOOD + ISS),
        (STRICT, GOOD + ISS),
        (ANONYMOUS, GOOD + "&iss=https%3A%2F%2Felsewhere.example"),
        (SERVER, f"code=%63%30de&state={STATE}"),
    ],
)
def test_valid_redirects(server: Server, query: str) -> None:
    assert read_callback(query, state=STATE, server=server) == Secret("c0de")


@proves("FAULT-53", "FLO-2")
@proves("FAULT-56", "FLO-3")
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid-redirect"),
        ("code=c0de", "redirect-state-mismatch"),
        ("state=other", "redirect-state-mismatch"),
        (f"state={STATE}x&usercancel=1", "redirect-state-mismatch"),
        (f"state=x&state={STATE}", "invalid-redirect"),
        (f"state={STATE}&iss=https%3A%2F%2Fevil.example", "redirect-issuer-mismatch"),
        (f"error_code=200&code=c0de&state={STATE}&code=c0de", "invalid-redirect"),
        ("error_code=200", "redirect-state-mismatch"),
        ("usercancel=1", "redirect-state-mismatch"),
        ("code=c0de&state=", "redirect-state-mismatch"),
        ("code=c0de&state=other", "redirect-state-mismatch"),
        (f"code=c0de&state={STATE}x", "redirect-state-mismatch"),
        (f"code=c0de&state={STATE[:-1]}", "redirect-state-mismatch"),
        (f"code=c0de&state={STATE.lower()}", "redirect-state-mismatch"),
        (f"code=c0de&state={quote('é')}", "redirect-state-mismatch"),
        ("code=c0de&state=%ff", "invalid-redirect"),
        (f"code=c0de&code=c0de&state={STATE}", "invalid-redirect"),
        (f"code=c0de&state={STATE}&state={STATE}", "invalid-redirect"),
        (f"code=c0de&state=x&state={STATE}", "invalid-redirect"),
        (GOOD + "&other=1&other=2", "invalid-redirect"),
        (GOOD + "&iss=", "redirect-issuer-mismatch"),
        (GOOD + "&iss=https%3A%2F%2Fid.example.com%2F", "redirect-issuer-mismatch"),
        (GOOD + "&iss=https%3A%2F%2FID.example.com", "redirect-issuer-mismatch"),
        (GOOD + "&iss=https%3A%2F%2Fevil.example", "redirect-issuer-mismatch"),
        (GOOD + ISS + ISS, "invalid-redirect"),
        (f"code=a%0d%0ab&state={STATE}", "invalid-redirect"),
        (f"code={'a' * 9000}&state={STATE}", "invalid-redirect"),
        (f"code=c0de&error=access_denied&state={STATE}", "invalid-redirect"),
        (f"error=access_denied&state={STATE}&iss=https%3A%2F%2Fevil.example", "redirect-issuer-mismatch"),
        ("error=access_denied", "redirect-state-mismatch"),
        ("error=access_denied&state=other", "redirect-state-mismatch"),
        (GOOD + "&nonsense", "invalid-redirect"),
        (GOOD + "".join(f"&p{number}=1" for number in range(40)), "invalid-redirect"),
    ],
)
def test_other_redirects_do_not_belong_to_this_attempt(query: str, code: str) -> None:
    with raises_code(ProtocolError, code):
        read_callback(query, state=STATE, server=SERVER)


@proves("FAULT-56", "FLO-3")
def test_a_code_without_iss_is_rejected_if_the_server_requires_it() -> None:
    with raises_code(ProtocolError, "redirect-issuer-missing"):
        read_callback(GOOD, state=STATE, server=STRICT)


@proves("FLO-3")
@pytest.mark.parametrize("server", [SERVER, STRICT, ANONYMOUS])
@pytest.mark.parametrize(
    "rest",
    [
        "",
        "&error_description=The+user+said+no",
        "&error_description=N%E3o+autorizado",  # Latin-1
        "&error_description=a & b; c",
        "&error_description=100%&error_description=twice",
        "&error_uri=https://id.example.com/e?x=1&y#z",
        "&nonsense&&=",
        "".join(f"&p{number}=1" for number in range(40)),
        "&error_description=" + "x" * 7000,
        "&code=",
        "&iss=",
        f"&state={STATE}&error=access_denied",
    ],
)
def test_an_error_with_the_right_state_ends_the_attempt_whatever_else_it_says(server: Server, rest: str) -> None:
    with raises_code(LoginRequired, "sign-in-not-completed") as caught:
        read_callback(f"error=access_denied&state={STATE}{rest}", state=STATE, server=server)
    assert "access_denied" in str(caught.value)


@proves("FLO-3")
@pytest.mark.parametrize("server", [SERVER, STRICT, ANONYMOUS])
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (f"state={STATE}", "neither a code nor an error"),  # WeChat
        (f"usercancel=1&state={STATE}", "neither a code nor an error"),  # QQ
        (f"denied=1&state={STATE}", "neither a code nor an error"),
        (f"code=&state={STATE}", "neither a code nor an error"),
        (f"error_code=200&error_message=Permissions+error&state={STATE}", "no readable error code"),  # Facebook
        (f"errorCode=access_denied&state={STATE}", "access_denied"),
        (f"error=access_denied&error_code=200&error_code=201&state={STATE}", "access_denied"),
        (f"code=null&error=access_denied&state={STATE}", "access_denied"),
        (f"error=access_denied&code=undefined&state={STATE}", "access_denied"),
        (f"denied=N%E3o&&&=&state={STATE}", "neither a code nor an error"),
        (f"state={STATE}&state={STATE}", "neither a code nor an error"),
    ],
)
def test_a_redirect_with_the_right_state_and_no_code_ends_the_attempt(server: Server, query: str, shown: str) -> None:
    with raises_code(LoginRequired, "sign-in-not-completed") as caught:
        read_callback(query, state=STATE, server=server)
    assert shown in str(caught.value)


def test_a_code_beside_an_error_code_of_a_vendor_counts() -> None:
    assert read_callback(f"{GOOD}&error_code=0", state=STATE, server=SERVER) == Secret("c0de")


@pytest.mark.parametrize(
    "query",
    [f"state={STATE}", f"response_type=code&client_id=a&state={STATE}&code_challenge=x", f"code=&state={STATE}"],
)
def test_a_pasted_url_with_nothing_but_the_state_is_asked_for_again(query: str) -> None:
    with raises_code(ProtocolError, "invalid-redirect"):
        read_pasted(f"https://id.example.com/a?{query}", state=STATE, server=SERVER, bare_code=True)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"error=access_denied&state={STATE}&iss=https%3A%2F%2Fevil.example", "redirect-issuer-mismatch"),
        (f"error=access_denied&error=server_error&state={STATE}", "invalid-redirect"),
        (f"error=access_denied&state={STATE}&iss=&iss=https%3A%2F%2Fevil.example", "redirect-issuer-mismatch"),
        (f"error=access_denied&code=&code=c0de&state={STATE}", "invalid-redirect"),
        (f"error=access_denied&state=x&state={STATE}", "invalid-redirect"),
        (f"error=access_denied&state={STATE}x", "redirect-state-mismatch"),
        (f"error=access_denied&state={STATE}%FF", "redirect-state-mismatch"),
        ("error=access_denied", "redirect-state-mismatch"),
    ],
)
def test_other_errors_do_not_belong_to_this_attempt(query: str, code: str) -> None:
    with raises_code(ProtocolError, code):
        read_callback(query, state=STATE, server=STRICT)


@pytest.mark.parametrize(
    ("error", "kind", "shown"),
    [
        ("access_denied", LoginRequired, "access_denied"),
        ("temporarily_unavailable", LoginRequired, "temporarily_unavailable"),
        ("server_error", LoginRequired, "server_error"),
        ("login_required", LoginRequired, "login_required"),
        ("<b>rt-0123456789</b>", LoginRequired, "no readable error code"),
        ("", LoginRequired, "no readable error code"),
        ("access_\x1bdenied\r\n", LoginRequired, "access_denied"),
        ("invalid_scope", ProviderRefused, "invalid_scope"),
        ("unauthorized_client", ProviderRefused, "unauthorized_client"),
        ("invalid_request", ProviderRefused, "invalid_request"),
        ("unsupported_response_type", ProviderRefused, "unsupported_response_type"),
    ],
)
def test_an_error_for_this_attempt_ends_it(error: str, kind: type[FreshkeyError], shown: str) -> None:  # FLO-12
    query = urlencode({"error": error, "error_description": "canary <script>", "state": STATE})

    with raises_code(kind, "sign-in-refused" if kind is ProviderRefused else "sign-in-not-completed") as caught:
        read_callback(query, state=STATE, server=SERVER)
    assert shown in str(caught.value)
    assert "canary" not in str(caught.value)
    assert "0123456789" not in str(caught.value)


def test_scope_that_the_server_does_not_know_is_what_to_check() -> None:
    query = urlencode({"error": "invalid_scope", "state": STATE})

    with raises_code(ProviderRefused, "sign-in-refused") as caught:
        read_callback(query, state=STATE, server=SERVER)
    assert "offline_access" in (caught.value.hint or "")


@given(query=st.text(max_size=200) | st.text("codestaierr=&%+;#0f", max_size=80))
@example(query="a=%&b=%zz&\ud800=\udfff")
def test_an_arbitrary_query_never_gives_a_code(query: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_callback(query, state=STATE, server=SERVER)
    assert caught.value.__cause__ is None


@given(
    code=st.text(min_size=1, max_size=64), extra=st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9))
)
def test_a_code_is_read_unchanged_or_rejected(code: str, extra: dict[str, str]) -> None:
    encodable = {name: value for name, value in extra.items() if name not in {"code", "state", "iss", "error"}}
    query = urlencode({**encodable, "code": code, "state": STATE}, errors="replace")
    try:
        read = read_callback(query, state=STATE, server=SERVER)
    except ProtocolError:
        assert not all("!" <= character <= "~" for character in code) or len(encodable) > 29
    else:
        assert read == Secret(code)


@given(position=st.integers(0, len(STATE) - 1), character=st.characters(min_codepoint=33, max_codepoint=126))
def test_a_state_that_differs_anywhere_is_rejected(position: int, character: str) -> None:
    forged = STATE[:position] + character + STATE[position + 1 :]
    query = urlencode({"code": "c0de", "state": forged})
    if forged == STATE:
        assert read_callback(query, state=STATE, server=SERVER) == Secret("c0de")
    else:
        with raises_code(ProtocolError, "redirect-state-mismatch"):
            read_callback(query, state=STATE, server=SERVER)


# --- pastes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"c0de#{STATE}",
        f"  c0de#{STATE}\r\n",
        f"http://127.0.0.1:49152/callback?{GOOD}",
        f"https://console.example/code/callback?app=cli&{GOOD}{ISS}",
        f"http://localhost:1/callback?{GOOD}#fragment",
    ],
)
def test_valid_pastes(text: str) -> None:  # FLO-9
    assert read_pasted(text, state=STATE, server=SERVER, bare_code=False) == Secret("c0de")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid-pasted-response"),
        ("   ", "invalid-pasted-response"),
        ("c0de", "invalid-pasted-response"),
        ("c0de#", "redirect-state-mismatch"),
        ("c0de#other", "redirect-state-mismatch"),
        (f"#{STATE}", "invalid-redirect"),
        (f"c0de#{STATE}#", "redirect-state-mismatch"),
        (f"c0 de#{STATE}", "invalid-redirect"),
        (f"c0de\n#{STATE}", "invalid-redirect"),
        (f"é#{STATE}", "invalid-redirect"),
        ("http://127.0.0.1:49152/callback", "invalid-redirect"),
        ("http://127.0.0.1:49152/callback?code=c0de", "redirect-state-mismatch"),
        (f"http://127.0.0.1:49152/callback#{GOOD}", "invalid-redirect"),
        (f"http://[::1/callback?{GOOD}", "invalid-pasted-response"),
        (f"https://x/?{GOOD}&iss=https%3A%2F%2Fevil.example", "redirect-issuer-mismatch"),
        (f"{'a' * 4096}#{STATE}", "invalid-pasted-response"),
    ],
)
def test_other_pastes_do_not_belong_to_this_attempt(text: str, code: str) -> None:
    with raises_code(ProtocolError, code):
        read_pasted(text, state=STATE, server=SERVER, bare_code=False)


def test_a_bare_code_must_be_allowed_and_a_wrong_state_never_is() -> None:
    assert read_pasted(" c0de ", state=STATE, server=SERVER, bare_code=True) == Secret("c0de")
    with raises_code(ProtocolError, "redirect-state-mismatch"):
        read_pasted("c0de#other", state=STATE, server=SERVER, bare_code=True)


@pytest.mark.parametrize("text", ["c0de", f"c0de#{STATE}"])
def test_if_the_server_requires_iss_only_a_full_url_can_be_pasted(text: str) -> None:
    with raises_code(ProtocolError, "redirect-issuer-missing"):
        read_pasted(text, state=STATE, server=STRICT, bare_code=True)


def test_a_pasted_error_ends_the_attempt() -> None:
    with raises_code(LoginRequired, "sign-in-not-completed") as caught:
        read_pasted(
            f"http://127.0.0.1:1/c?error=access_denied&state={STATE}", state=STATE, server=SERVER, bare_code=False
        )
    assert "access_denied" in str(caught.value)


@pytest.mark.parametrize("server", [SERVER, STRICT])
@pytest.mark.parametrize(
    "tail",
    [
        "?error=access_denied",  # many servers leave the state out of errors; the user pasted it here
        f"?error=access_denied&state={STATE}&error_description=N%E3o",
        f"#error=access_denied&state={STATE}",
        "#error=access_denied",
        f"?#error=access_denied&state={STATE}",
    ],
)
def test_a_pasted_error_may_lack_the_state_or_be_in_the_fragment(server: Server, tail: str) -> None:
    with raises_code(LoginRequired, "sign-in-not-completed"):
        read_pasted(f"http://127.0.0.1:1/callback{tail}", state=STATE, server=server, bare_code=False)


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        ("?error=access_denied&state=other", "redirect-state-mismatch"),
        ("#error=access_denied&state=other", "redirect-state-mismatch"),
        ("?error=access_denied&iss=https%3A%2F%2Fevil.example", "redirect-issuer-mismatch"),
        (f"#code=c0de&state={STATE}", "invalid-redirect"),
    ],
)
def test_a_pasted_error_of_another_attempt_does_not_count(tail: str, code: str) -> None:
    with raises_code(ProtocolError, code):
        read_pasted(f"http://127.0.0.1:1/callback{tail}", state=STATE, server=SERVER, bare_code=False)


@given(text=st.text(max_size=200) | st.text(max_size=40).map(lambda tail: "https://" + tail), bare=st.booleans())
def test_read_pasted_accepts_any_text_and_never_quotes_it(text: str, bare: bool) -> None:
    try:
        read: Secret | ProtocolError = read_pasted(text, state=STATE, server=SERVER, bare_code=bare)
    except ProtocolError as error:
        read = error

    if isinstance(read, ProtocolError):
        assert read.__cause__ is None
        assert len(text.strip()) < 8 or text.strip() not in str(read)
    else:
        assert bare
        assert read == Secret(text.strip())
