"""Whatever reaches the port or the prompt of a sign-in, only the response to this sign-in is accepted."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freshkey._http.url import checked_url
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProtocolError, ProviderRefused
from freshkey.model.exchange import Response
from freshkey.oauth import Server, browser, discover, pages
from freshkey.oauth.callback import read_callback, read_pasted
from freshkey.oauth.redirect_request import Wanted, ended, judge
from freshkey.secret import Secret
from promises import proves
from quoting import CANARIES, outcome, quotes
from sending import scripted
from waiting import until


FIXED = settings(derandomize=True, database=None, max_examples=200)

STATE = "l9yAZxPw3EgNVhcbYMZpkPoTYxzJqd4kQd7QbYz_0Vs"
ISSUER = "https://id.example.com"
HOST = "127.0.0.1:49152"
WANTED = Wanted("/callback", HOST)
SERVER = Server(authorization_endpoint=f"{ISSUER}/authorize", token_endpoint=f"{ISSUER}/token", issuer=ISSUER)


# --- the loopback port ---------------------------------------------------------------------------------------------


def answered(received: bytes) -> object:
    """Handle a request like the listener: return its code, the status it is rejected with, or the error."""
    query = judge(received, WANTED)
    return query if isinstance(query, HTTPStatus) else outcome(lambda: read_callback(query, state=STATE, server=SERVER))


METHODS = st.sampled_from(["POST", "HEAD", "get", "OPTIONS", ""])
PATHS = st.sampled_from(["/", "/callback/", "//callback", "/callback;x", "/CALLBACK", f"http://{HOST}/callback", "*"])
HOSTS = st.sampled_from(
    [[], [HOST, HOST], ["evil.example"], ["localhost:49152"], [f"{HOST}."], [f" {HOST}"], ["127.0.0.1"]]
)
PARAMETERS = st.lists(
    st.sampled_from(
        [
            ("state", STATE[:-1]),
            ("state", STATE.lower()),
            ("state", f"{STATE} "),
            ("state", ""),
            ("code", ""),
            ("code", "other"),
            ("error", "access_denied"),
            ("iss", ISSUER),
            ("iss", "https://evil.example"),
            ("x", "y"),
            ("Code", "c"),
            ("code[]", "c"),
            ("code", "c\nd"),
            ("state", f"{STATE}\x00"),
            ("state", STATE),
            ("X", ""),
        ]
    ),
    max_size=2,
)
VERSIONS = st.sampled_from(["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "http/1.1"])
MORE = st.lists(
    st.sampled_from(
        ["Accept: */*", "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: image", "Purpose: prefetch", " folded", "X : y"]
    ),
    max_size=2,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bool]:
    """Draw a request, and whether it is the response to this sign-in."""
    kinds = st.sampled_from(["method", "path", "hosts", "parameters", "version", "more"])
    odd = draw(st.just(set[str]()) | st.just({"more"}) | st.just({"parameters"}) | st.sets(kinds, max_size=2))
    method = draw(METHODS) if "method" in odd else "GET"
    path = draw(PATHS) if "path" in odd else "/callback"
    hosts = draw(HOSTS) if "hosts" in odd else [HOST]
    parameters = [("code", "c0de"), ("state", STATE)]
    if "parameters" in odd:
        parameters = draw(st.permutations([*parameters, *draw(PARAMETERS)]))[: draw(st.integers(0, 4))]
    version = draw(VERSIONS) if "version" in odd else "HTTP/1.1"
    more = draw(MORE) if "more" in odd else []
    lines = [f"{method} {path}?{urlencode(parameters)} {version}", *(f"Host: {host}" for host in hosts), *more]
    names = [name for name, _ in parameters]
    ours = (
        (method, path) == ("GET", "/callback")
        and [host.strip() for host in hosts] == [HOST]  # whitespace around a value is ignored (RFC 9110, section 5.5)
        and version in {"HTTP/1.1", "HTTP/1.0"}
        and not {"Sec-Fetch-Dest: image", "Purpose: prefetch", " folded", "X : y"} & {*more}
        and len(set(names)) == len(names)
        and dict(parameters).get("state") == STATE
        and dict(parameters).get("iss", ISSUER) == ISSUER
        and dict(parameters).get("code") in {"c0de", "other"}
        and "error" not in names
    )
    return "\r\n".join([*lines, "", ""]).encode(), ours


@proves("FAULT-53", "FLO-3")
@FIXED
@given(requests())
def test_only_the_response_to_this_sign_in_gives_a_code(request: tuple[bytes, bool]) -> None:
    received, ours = request
    answer = answered(received)
    assert isinstance(answer, Secret) is ours
    if ours:
        assert isinstance(answer, Secret)
        assert answer.reveal() in received.decode()


@proves("FAULT-53", "FLO-3")
@settings(FIXED, max_examples=300)
@given(requests(), st.data())
def test_altered_request_is_rejected_or_means_the_same(request: tuple[bytes, bool], data: st.DataObject) -> None:
    """With any bytes changed, removed or inserted: never an unexpected exception, never a code without the state."""
    received = bytearray(request[0])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(received)))
        end = data.draw(st.integers(start, min(len(received), start + 3)))
        received[start:end] = data.draw(st.binary(max_size=3))

    answer = answered(bytes(received))
    assert isinstance(ended(bytes(received)), bool)
    if isinstance(answer, HTTPStatus):
        assert answer in pages.REJECTED
    elif isinstance(answer, Secret):
        head, blank, _ = bytes(received).partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        pairs = parse_qsl(target.decode().partition("?")[2], keep_blank_values=True)
        assert (blank, method, target.partition(b"?")[0]) == (b"\r\n\r\n", b"GET", b"/callback")
        assert [value for name, value in pairs if name == "state"] == [STATE]
        assert [value for name, value in pairs if name == "code"] == [answer.reveal()]
    else:
        assert isinstance(answer, ProtocolError | LoginRequired | ProviderRefused)


@proves("FAULT-53", "FLO-3")
@FIXED
@given(canary=CANARIES, place=st.sampled_from(["code", "state", "iss", "error", "error_description", "x", "path"]))
def test_content_of_foreign_requests_is_never_returned(canary: str, place: str) -> None:
    assert not [page for page in (pages.RECEIVED, pages.DECLINED, *pages.REJECTED.values()) if canary.encode() in page]
    query = urlencode({"state": STATE, place: canary} if place != "code" else {"code": canary})
    answer = outcome(lambda: read_callback(query, state=STATE, server=SERVER))
    assert isinstance(answer, FreshkeyError)
    assert not quotes(f"{answer} {answer!r} {answer.hint} {answer.__context__!r} {answer.__cause__!r}", canary)


@proves("FAULT-53", "FLO-6")
@FIXED
@given(
    before=st.sampled_from(["", " ", "https://x.example/c?", "http://", "https://[", "code=", "\ufeff", "#", "c0de#"]),
    canary=CANARIES,
    after=st.sampled_from(["", "#", f"#{STATE}x", "&state=x", "\n", "?code=1", "\x1b[31m"]),
    bare=st.booleans(),
)
def test_invalid_pasted_text_is_never_quoted(before: str, canary: str, after: str, bare: bool) -> None:
    answer = outcome(lambda: read_pasted(before + canary + after, state=STATE, server=SERVER, bare_code=bare))
    if isinstance(answer, Secret):
        assert bare
        assert answer.reveal() == (before + canary + after).strip()
    else:
        assert isinstance(answer, ProtocolError)
        assert not quotes(f"{answer} {answer!r} {answer.__context__!r}", canary)


# --- metadata ------------------------------------------------------------------------------------------------------

SCHEMES = st.sampled_from(["https://"] * 6 + ["http://", "file://", "javascript:", "//", "", "HTTPS://", "https:/"])
NAMES = (
    "id.example.com id.example.com id.example.com id.example.com login.id.example.com api.other.example ID.example.com"
    " evilid.example.com id.example.com.evil.example example.com 169.254.169.254 127.0.0.1 [::1] localhost evil.example"
    " id.example.com. id.example.com@evil.example evil.example\\@id.example.com evil.example#.id.example.com"
    " id.example.com%00 id.example.com:443 id.example.com:99999 id.example.com:x id\u3002example.com"
    " xn--a.id.example.com"
)
TAILS = st.sampled_from(["/token", "", "/t?a=b", "/t#f", "/ t", "/t\n", "/%zz", "/t\x7f", "/--flag", "/" + "a" * 9000])
ENDPOINTS: st.SearchStrategy[object] = st.builds(
    "{}{}{}".format, SCHEMES, st.sampled_from(NAMES.split()), TAILS
) | st.sampled_from([None, 7, "", [], "--flag", "-x"])
ENDPOINT_NAMES = [
    *("authorization_endpoint", "token_endpoint", "revocation_endpoint", "device_authorization_endpoint"),
]


@proves("FAULT-57", "FLO-9")
@settings(FIXED, max_examples=400)
@given(
    issuer=st.sampled_from([ISSUER] * 8 + [f"{ISSUER}/", ISSUER.upper(), "https://evil.example", None, [ISSUER]]),
    first=st.one_of(st.just(f"{ISSUER}/authorize"), st.just(f"{ISSUER}/a?b=c"), ENDPOINTS),
    second=st.one_of(st.just(f"{ISSUER}/token"), st.just("https://api.other.example/token"), ENDPOINTS),
    others=st.dictionaries(st.sampled_from(ENDPOINT_NAMES[2:]), ENDPOINTS),
    more=st.fixed_dictionaries(
        {}, optional={"authorization_response_iss_parameter_supported": st.sampled_from([True, 1])}
    ),
)
@example(ISSUER, f"{ISSUER}/a", "https://evilid.example.com/token", {}, {})
@example(ISSUER, f"{ISSUER}/a", "https://id.example.com.evil.example/token", {}, {})
@example(ISSUER, f"{ISSUER}/a", "https://id.example.com@evil.example/t", {}, {})
@example(ISSUER, f"{ISSUER}/a", "http://id.example.com/token", {}, {})
@example(ISSUER, f"{ISSUER}/a", "https://login.id.example.com/token", {}, {})
def test_accepted_metadata_is_that_of_the_issuer(
    issuer: object, first: object, second: object, others: dict[str, object], more: dict[str, object]
) -> None:
    facts = {"issuer": issuer, "authorization_endpoint": first, "token_endpoint": second, **others, **more}
    response = Response(status=200, headers={}, body=json.dumps(facts).encode())
    found = outcome(lambda: discover(scripted(lambda _: response), ISSUER, hosts={"api.other.example"}))

    if isinstance(found, FreshkeyError):
        assert isinstance(found, ProviderRefused)
        assert not [text for text in map(str, facts.values()) if len(text) >= 40 and text in str(found)]
        return
    assert isinstance(found, Server)
    assert issuer == found.issuer == ISSUER
    listed = [found.authorization_endpoint, found.token_endpoint]
    listed += [found.revocation_endpoint, found.device_authorization_endpoint]
    endpoints = [endpoint for endpoint in listed if endpoint is not None]
    # An optional endpoint that is no URL counts as missing.
    assert endpoints == [facts[name] for name in ENDPOINT_NAMES if "://" in str(facts.get(name))]
    for endpoint in endpoints:
        assert checked_url(endpoint) == browser.safe_url(endpoint) == endpoint
        host = urlsplit(endpoint).hostname or ""
        assert host in {"id.example.com", "api.other.example"} or host.endswith(".id.example.com")
    assert found.iss_required is (more.get("authorization_response_iss_parameter_supported") is True)


@proves("FAULT-57", "FLO-9")
@FIXED
@given(body=st.binary(max_size=60) | CANARIES.map(lambda text: f'{{"issuer": "{text}"}}'.encode()))
@example(b"[]")
@example(b'{"issuer": "https://id.example.com", "issuer": "https://evil.example"}')
def test_any_other_document_is_refused(body: bytes) -> None:
    response = Response(status=200, headers={}, body=body)
    found = outcome(lambda: discover(scripted(lambda _: response), ISSUER))
    assert isinstance(found, ProviderRefused)
    assert (found.__context__, found.__cause__) == (None, None)
    assert not quotes(str(found), body.decode("latin-1"))


# --- the browser ---------------------------------------------------------------------------------------------------

PIECES = st.lists(
    st.sampled_from(
        [
            *"/a?&=;'\" \n\\-@:#*[]!,()~\x00|\u202e\u00e9",
            "https://",
            "id.example.com",
            "%2F",
            "%2f",
            "%s",
            "$(x)",
            "--flag",
        ]
    ),
    max_size=8,
).map("".join)
ADDRESSES = PIECES | PIECES.map(lambda tail: f"{ISSUER}/{tail}")


BROWSER = """
import pathlib, sys
part = pathlib.Path(__file__).with_name("part")
part.write_bytes("".join(f"<{argument}>" for argument in sys.argv[1:]).encode())
part.replace(part.with_name("arguments"))
"""


@pytest.fixture(scope="module")
def fake_browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that records its arguments, each between characters that no URL may contain."""
    program = tmp_path_factory.mktemp("browser") / "browser.py"
    program.write_text(BROWSER, "utf-8")
    (program.parent / "elsewhere").mkdir()
    return program


@proves("FAULT-57", "FLO-8")
@settings(FIXED, max_examples=3 if sys.platform == "win32" else 80, deadline=None)  # each starts a process
@given(ADDRESSES)
@example(f"{ISSUER}/?a=$(id)")
@example(f"{ISSUER}/?a=%25action&b=*&c=~&d=!x&e=(y)")
@example(f"{ISSUER}/a;b,c?x[]=1&y=")
@example("--renderer-cmd-prefix=sh")
@example("https://-x.example/")
def test_browser_receives_a_safe_url_as_one_argument_or_is_not_started(fake_browser: Path, url: str) -> None:
    record = fake_browser.with_name("arguments")
    record.unlink(missing_ok=True)
    command = f'"{os.path.realpath(sys.executable)}" -I -S "{fake_browser}"'
    environ = {**os.environ, "BROWSER": command}
    try:
        with contextlib.chdir(fake_browser.parent / "elsewhere"):  # the rig of Windows is in the checkout
            assert browser.open_browser(url, environ=environ)
    except ConfigurationError:
        assert not record.exists()
        return
    until(record.exists, "the browser to start")
    assert record.read_text("ascii") == f"<{url}>"
    parts = urlsplit(url)
    assert (parts.scheme, parts.username, parts.fragment, url.isascii()) == ("https", None, "", True)
    assert parts.geturl() in {url, url.removesuffix("?")}
    assert not url.startswith("-")
