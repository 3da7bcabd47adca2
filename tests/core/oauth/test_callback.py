from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused
from freshkey.oauth import Server, read_callback, read_pasted
from freshkey.secret import Secret
from matrix import row


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


# --- what the browser brings ----------------------------------------------------------------------------------------


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
def test_the_answer_to_our_attempt(server: Server, query: str) -> None:
    assert read_callback(query, state=STATE, server=server) == Secret("c0de")


@row(53, "FLO-2")
@row(56, "FLO-3")
@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=c0de",
        f"state={STATE}",
        "code=c0de&state=",
        "code=c0de&state=other",
        f"code=c0de&state={STATE}x",
        f"code=c0de&state={STATE[:-1]}",
        f"code=c0de&state={STATE.lower()}",
        f"code=c0de&state={quote('é')}",
        "code=c0de&state=%ff",
        f"code=c0de&code=c0de&state={STATE}",
        f"code=c0de&state={STATE}&state={STATE}",
        f"code=c0de&state=x&state={STATE}",
        GOOD + "&other=1&other=2",
        GOOD + "&iss=",
        GOOD + "&iss=https%3A%2F%2Fid.example.com%2F",
        GOOD + "&iss=https%3A%2F%2FID.example.com",
        GOOD + "&iss=https%3A%2F%2Fevil.example",
        GOOD + ISS + ISS,
        f"code=&state={STATE}",
        f"code=a%0d%0ab&state={STATE}",
        f"code={'a' * 9000}&state={STATE}",
        f"code=c0de&error=access_denied&state={STATE}",
        f"error=access_denied&state={STATE}&iss=https%3A%2F%2Fevil.example",
        "error=access_denied",
        "error=access_denied&state=other",
        GOOD + "&nonsense",
        GOOD + "".join(f"&p{number}=1" for number in range(40)),
    ],
)
def test_whatever_else_arrives_is_not_the_answer(query: str) -> None:
    with pytest.raises(ProtocolError):
        read_callback(query, state=STATE, server=SERVER)


@row(56, "FLO-3")
@pytest.mark.parametrize("query", [GOOD, f"error=access_denied&state={STATE}"])
def test_a_server_that_names_itself_must_do_so(query: str) -> None:
    with pytest.raises(ProtocolError, match="does not name the server"):
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
def test_an_error_of_our_attempt_is_its_end(error: str, kind: type[Exception], shown: str) -> None:  # FLO-12
    query = urlencode({"error": error, "error_description": "canary <script>", "state": STATE})

    with pytest.raises(kind, match=shown) as caught:
        read_callback(query, state=STATE, server=SERVER)
    assert "canary" not in str(caught.value)
    assert "0123456789" not in str(caught.value)


@given(query=st.text(max_size=200) | st.text("codestaierr=&%+;#0f", max_size=80))
@example(query="a=%&b=%zz&\ud800=\udfff")
def test_no_query_but_ours_gives_a_code(query: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_callback(query, state=STATE, server=SERVER)
    assert caught.value.__cause__ is None


@given(
    code=st.text(min_size=1, max_size=64), extra=st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9))
)
def test_a_code_is_read_as_it_was_written_or_not_at_all(code: str, extra: dict[str, str]) -> None:
    encodable = {name: value for name, value in extra.items() if name not in {"code", "state", "iss", "error"}}
    query = urlencode({**encodable, "code": code, "state": STATE}, errors="replace")
    try:
        read = read_callback(query, state=STATE, server=SERVER)
    except ProtocolError:
        assert not all("!" <= character <= "~" for character in code) or len(encodable) > 29
    else:
        assert read == Secret(code)


@given(position=st.integers(0, len(STATE) - 1), character=st.characters(min_codepoint=33, max_codepoint=126))
def test_a_state_that_differs_anywhere_is_not_ours(position: int, character: str) -> None:
    forged = STATE[:position] + character + STATE[position + 1 :]
    query = urlencode({"code": "c0de", "state": forged})
    if forged == STATE:
        assert read_callback(query, state=STATE, server=SERVER) == Secret("c0de")
    else:
        with pytest.raises(ProtocolError):
            read_callback(query, state=STATE, server=SERVER)


# --- what a person pastes -------------------------------------------------------------------------------------------


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
def test_pastes_that_prove_themselves(text: str) -> None:  # FLO-9
    assert read_pasted(text, state=STATE, server=SERVER, bare_code=False) == Secret("c0de")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "c0de",
        "c0de#",
        "c0de#other",
        f"#{STATE}",
        f"c0de#{STATE}#",
        f"c0 de#{STATE}",
        f"c0de\n#{STATE}",
        f"é#{STATE}",
        "http://127.0.0.1:49152/callback",
        "http://127.0.0.1:49152/callback?code=c0de",
        f"http://127.0.0.1:49152/callback#{GOOD}",
        f"http://[::1/callback?{GOOD}",
        f"https://x/?{GOOD}&iss=https%3A%2F%2Fevil.example",
        f"{'a' * 4096}#{STATE}",
    ],
)
def test_pastes_that_do_not(text: str) -> None:
    with pytest.raises(ProtocolError):
        read_pasted(text, state=STATE, server=SERVER, bare_code=False)


def test_a_bare_code_is_taken_only_where_the_provider_shows_nothing_else() -> None:
    assert read_pasted(" c0de ", state=STATE, server=SERVER, bare_code=True) == Secret("c0de")
    with pytest.raises(ProtocolError, match="state is not ours"):
        read_pasted("c0de#other", state=STATE, server=SERVER, bare_code=True)


@pytest.mark.parametrize("text", ["c0de", f"c0de#{STATE}"])
def test_a_server_that_names_itself_can_do_so_in_an_address_only(text: str) -> None:
    with pytest.raises(ProtocolError, match="paste the full address"):
        read_pasted(text, state=STATE, server=STRICT, bare_code=True)


def test_a_pasted_error_is_the_end() -> None:
    with pytest.raises(LoginRequired, match="access_denied"):
        read_pasted(
            f"http://127.0.0.1:1/c?error=access_denied&state={STATE}", state=STATE, server=SERVER, bare_code=False
        )


@given(text=st.text(max_size=200) | st.text(max_size=40).map(lambda tail: "https://" + tail), bare=st.booleans())
def test_pasting_is_total_and_quotes_nothing(text: str, bare: bool) -> None:
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
