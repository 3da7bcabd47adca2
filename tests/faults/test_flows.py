"""Sign-ins that are never finished, that other processes interfere with, or that a hostile server misdirects."""

from __future__ import annotations

import functools
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from console_user import at_console, press_ctrl_c
from counterparts.oidc import OidcServer
from counterparts.oidc import authorize as approve
from freshkey import Configuration, Keeper
from freshkey._http import client as http_client
from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.oauth import LoopbackListener, OAuthClient, Server, authorize, device_sign_in, discover
from freshkey.secret import Secret
from freshkey_testing import AuthorizationServer, ManualClock, Policy, ScriptedUser
from freshkey_testing.browser import visit
from home import Home
from loopback_server import Exchange, LoopbackServer
from promises import proves
from raises_code import raises_code
from sending import on_loopback
from sockets import stop_listening
from typist import Typist
from waiting import PATIENCE, until


send = functools.partial(http_client.send, allow_insecure_loopback=True)


def refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


# --- FAULT-54: sign-ins that are never finished -----------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, "file")
    home.variables["FRESHKEY_CONFIG_DIR"] = str(tmp_path / "config")
    home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
    with AuthorizationServer() as server:
        home.configure(**server.settings())
        yield home


def port_on(screen: str) -> int:
    found = re.search(r"redirect_uri=http%3A%2F%2Flocalhost%3A(\d+)", screen)
    assert found
    return int(found[1])


# The process keeps running after the command, because the system would free any port left open by a process that exits.
SIGN_IN = """
import sys
from freshkey_cli import main
from freshkey.oauth.signin import authorize

authorize.__kwdefaults__["timeout"] = float(sys.argv[1])
try:
    code = main(["login", *sys.argv[2:]])
except SystemExit as left:
    code = left.code
print("the command left with", code, flush=True)
sys.stdin.readline()
sys.exit(code)
"""


only_terminals = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX; Windows has tests of its own")


@contextmanager
def sign_in_started(home: Home, patience: float = 300.0) -> Iterator[Typist]:
    with Typist([sys.executable, "-c", SIGN_IN, str(patience), "--no-browser"], home.environment) as typist:
        typist.read_until("redirect_uri=")
        typist.read_until("Paste it only here")
        yield typist


@proves("FAULT-54", "FLO-4", "FLO-9")
@only_terminals
@pytest.mark.parametrize("act", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_interrupted_command_frees_the_port_and_restores_the_terminal(home: Home, act: str) -> None:
    with sign_in_started(home) as typist:
        typist.wait_until_quiet()
        port = port_on(typist.screen)
        assert not refuses(port)
        if act == "Ctrl-C":
            typist.interrupt()
        else:
            typist._process.send_signal(signal.Signals[act])
        code = 128 + (signal.SIGINT if act == "Ctrl-C" else signal.Signals[act])
        typist.read_until(f"the command left with {code}")
        assert refuses(port)
        assert typist.as_before
        typist.type("\n")
        assert typist.end() == code
        assert "Traceback" not in typist.screen


@proves("FAULT-54", "FLO-4")
@only_terminals
def test_command_whose_redirect_never_arrives_times_out(home: Home) -> None:
    with sign_in_started(home, patience=1.0) as typist:
        port = port_on(typist.screen)
        typist.read_until("the command left with 3")
        assert "[sign-in-timed-out]" in typist.screen
        assert refuses(port)
        assert typist.as_before


@contextmanager
def sign_in_at_console(home: Home, patience: float = 300.0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start a sign-in on Windows, with a browser that does nothing; yields the command and its port."""
    variables = {**home.environment, "BROWSER": f'"{sys.executable}" -I -c pass'}
    with at_console([sys.executable, "-c", SIGN_IN, str(patience)], variables) as process:
        found = re.search(r"http://localhost:(\d+)/", lines_until(process, "http://localhost:")[-1])
        assert found
        yield process, int(found[1])


def lines_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Read what the command prints up to the line with `text`."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
        if line.startswith("the command left"):
            break
    raise AssertionError(f"{text!r} was not printed, but:\n{''.join(lines)}")


only_windows = pytest.mark.skipif(sys.platform != "win32", reason="a console of Windows")


@proves("FAULT-54", "FLO-4")
@only_windows
def test_command_interrupted_at_a_console_frees_the_port(home: Home) -> None:
    with sign_in_at_console(home) as (process, port):
        assert not refuses(port)
        press_ctrl_c(process)
        said = lines_until(process, "the command left with")
        assert said[-1] == "the command left with 130\n"
        assert not any("Traceback" in line for line in said)
        assert refuses(port)


@proves("FAULT-54", "FLO-4")
@only_windows
def test_command_at_a_console_whose_redirect_never_arrives_times_out(home: Home) -> None:
    with sign_in_at_console(home, patience=1.0) as (process, port):
        said = lines_until(process, "the command left with")
        assert said[-1] == "the command left with 3\n"
        assert any("[sign-in-timed-out]" in line for line in said)
        assert refuses(port)


# --- FAULT-55: a process that steals the port -------------------------------------------------------------------------

THIEF = """
import socket, sys
port, taken = int(sys.argv[1]), []
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for option in (None, socket.SO_REUSEADDR, getattr(socket, "SO_REUSEPORT", None)):
        try:
            thief = socket.socket(family)
            if option:
                thief.setsockopt(socket.SOL_SOCKET, option, 1)
            thief.bind((host, port))
            thief.listen()
            taken.append(host)
            break
        except OSError:
            continue
print(sorted(taken), flush=True)
sys.stdin.read()
"""


@contextmanager
def thief(port: int) -> Iterator[str]:
    """Start a process that binds every address it can at a port; yields the addresses it got."""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", THIEF, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


ANSWER = "/callback?code=c0de-of-this-attempt&state=the-state"


@proves("FAULT-55", "FLO-4")
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
@pytest.mark.parametrize(("host", "stolen"), [("127.0.0.1", "['::1']"), ("localhost", "[]")])
def test_another_process_cannot_intercept_the_redirect(server: Server, host: str, stolen: str) -> None:
    with LoopbackListener(state="the-state", server=server, host=host) as listener:
        parts = urlsplit(listener.redirect_uri)
        with thief(parts.port or 0) as taken, ExitStack() as stack:
            # `localhost` can mean either address, so the listener binds both. A literal address cannot mean the other.
            assert taken == stolen
            given_up = threading.Event()
            stack.callback(given_up.set)
            answer: list[object] = []
            waiting = threading.Thread(target=lambda: answer.append(listener.wait(given_up)))
            waiting.start()
            with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE) as browser:
                browser.sendall(f"GET {ANSWER} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
                assert browser.recv(65536).startswith(b"HTTP/1.1 200")
            waiting.join(PATIENCE)
            assert [str(secret) for secret in answer] == ["Secret(…)"]
    # Of another one: after a connection, the kernel keeps a port for a minute, depending on who closed it first.
    with LoopbackListener(state="the-state", server=server, host=host) as unused:
        port = urlsplit(unused.redirect_uri).port or 0
    with thief(port) as taken:
        assert taken == "['127.0.0.1', '::1']", "the port is free again"


@pytest.fixture
def server() -> Server:
    return Server(
        authorization_endpoint="https://id.example.com/authorize", token_endpoint="https://id.example.com/token"
    )


LISTENS = """
from freshkey.oauth import LoopbackListener, Server
server = Server(authorization_endpoint="https://id.example.com/a", token_endpoint="https://id.example.com/t")
for host in ("127.0.0.1", "localhost", "::1"):
    try:
        with LoopbackListener(state="s", server=server, host=host) as listener:
            print(listener.redirect_uri.rsplit(":", 1)[0])
    except Exception as error:
        print(type(error).__name__)
"""


@proves("FAULT-55", "FLO-4")
@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces")
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("true", ["http://127.0.0.1", "http://localhost", "http://[::1]"]),
        ("ip addr del ::1/128 dev lo", ["http://127.0.0.1", "http://localhost", "TransientError"]),
        ("ip addr del 127.0.0.1/8 dev lo", ["http://[::1]", "http://localhost", "http://[::1]"]),
    ],
)
def test_listener_works_with_only_one_address_family(setting: str, expected: list[str]) -> None:
    script = f'ip link set lo up && {setting} && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, sys.executable, LISTENS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0 and not done.stdout:
        pytest.skip("this user cannot create network namespaces with both address families")
    assert done.stdout.splitlines() == expected


# --- FAULT-56: mix-up attacks -----------------------------------------------------------------------------------------


@proves("FAULT-56", "FLO-3", "FLO-12")
@pytest.mark.counterpart
def test_authorization_code_of_one_server_never_reaches_another() -> None:
    """RFC 9700, section 4.4: server A sends the user to server B, so that the client sends B's code to A."""
    with OidcServer() as hostile, OidcServer(client_id=hostile.client_id) as honest:
        mixed_up: list[int] = []

        def browser(url: str) -> None:
            to_honest = approve(url.replace(hostile.issuer, honest.issuer))
            assert "iss=" in to_honest
            plain = re.sub(r"[?&]iss=[^&]*", "", to_honest)
            stolen = re.sub(r"code=[^&]*", "error=access_denied", to_honest)
            mixed_up.extend(visit(address).status for address in (to_honest, plain, stolen))
            clock.wait_until_waiting()
            clock.advance(300)

        clock = ManualClock()
        profile = on_loopback(clock=clock)
        # The other server would not know what is pushed to the hostile one.
        unpushed = evolve(discover(profile, hostile.issuer), pushed_authorization_request_endpoint=None)
        client = OAuthClient.of(profile, unpushed, hostile.client_id)
        with raises_code(LoginRequired, "sign-in-timed-out"), ScriptedUser(browser=browser) as user:
            authorize(profile, client, user, scopes=("openid",))
        # The listener refused each of them, the error as well as the codes.
        assert mixed_up == [400, 400, 400]
        assert honest.count("authorization.success") == 1
        assert hostile.count("grant.success") == hostile.count("grant.error") == 0
        assert honest.count("authorization_code.consumed") == 0


# --- FAULT-57: hostile discovery --------------------------------------------------------------------------------------


class Recorder:
    """Accepts connections on a loopback port, and only counts them."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.connections += 1

    def close(self) -> None:
        stop_listening(self._socket)
        self._thread.join(PATIENCE)


@contextmanager
def publisher(answer: Callable[[Exchange, str], None]) -> Iterator[tuple[str, list[str]]]:
    """Run a server that calls `answer` with each request and its issuer; yields the issuer and the requested paths."""
    with _Publisher(answer) as running:
        yield running.url, running.asked


class _Publisher(LoopbackServer):
    def __init__(self, answer: Callable[[Exchange, str], None]) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._answer = answer

    def serve(self, exchange: Exchange) -> None:
        self.asked.append(exchange.path)
        self._answer(exchange, self.url)


def document(exchange: Exchange, facts: dict[str, Any], padding: int = 0) -> None:
    body = json.dumps(facts).encode() + b" " * padding
    with suppress(OSError):  # the client may have closed the connection
        exchange.answer(200, body)


def redirect(exchange: Exchange, address: str) -> None:
    exchange.answer(302, headers={"Location": address})


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


HOSTILE = {
    "another issuer": {"issuer": "http://localhost:{port}"},
    "an endpoint at another host": {"token_endpoint": "http://localhost:{port}/token"},
    "an authorization endpoint at another host": {"authorization_endpoint": "http://localhost:{port}/authorize"},
    "the metadata service of a cloud": {"token_endpoint": "http://169.254.169.254/latest/meta-data"},
    "no TLS": {"token_endpoint": "http://id.example.com/token"},
    "a flag": {"authorization_endpoint": "--renderer-cmd-prefix=touch"},
    "a file": {"authorization_endpoint": "file:///etc/passwd"},
    "a command": {"authorization_endpoint": "{issuer}/authorize?$(touch)"},
    "a user": {"token_endpoint": "http://127.0.0.1@localhost:{port}/token"},
    "a list": {"token_endpoint": ["{issuer}/token"]},
    "a device endpoint elsewhere": {"device_authorization_endpoint": "http://localhost:{port}/device"},
    "a revocation endpoint elsewhere": {"revocation_endpoint": "http://localhost:{port}/revoke"},
}


def filled(value: object, **words: object) -> Any:
    return json.loads(json.dumps(value).replace("{port}", str(words["port"])).replace("{issuer}", str(words["issuer"])))


@contextmanager
def hostile(kind: str, recorder: Recorder) -> Iterator[tuple[str, list[str]]]:
    def answer(exchange: Exchange, issuer: str) -> None:
        endpoints = {f"{name}_endpoint": f"{issuer}/{name}" for name in ("authorization", "token")}
        facts = {"issuer": issuer, **endpoints}
        if kind == "a redirect":
            redirect(exchange, f"http://localhost:{recorder.port}{exchange.path}")
        elif kind == "5 MB":
            document(exchange, facts, padding=5_000_000)
        else:
            document(exchange, {**facts, **filled(HOSTILE[kind], port=recorder.port, issuer=issuer)})

    with publisher(answer) as published:
        yield published


@proves("FAULT-57", "FLO-11", "FLO-7")
@pytest.mark.parametrize("kind", [*HOSTILE, "a redirect", "5 MB"])
def test_hostile_metadata_opens_no_browser_and_no_connection(recorder: Recorder, tmp_path: Path, kind: str) -> None:
    with hostile(kind, recorder) as (issuer, asked):
        settings: dict[str, object] = {"provider": "claude_oauth", "store": "memory", "issuer": issuer}
        settings |= {"client_id": "me", "allow_insecure_loopback": True}
        configuration = Configuration.of({"me": settings}, state_dir=tmp_path, default="me")
        user = ScriptedUser(browser=lambda url: None)
        with Keeper(configuration=configuration) as keeper, pytest.raises(FreshkeyError) as caught:
            keeper.login(interaction=user)
        assert isinstance(caught.value, TransientError if kind == "a redirect" else ProtocolError | ProviderRefused)
        assert user.opened == []
        assert all(path.startswith("/.well-known/") for path in asked)
        assert asked
        assert recorder.connections == 0
        assert "touch" not in str(caught.value)
        assert f":{recorder.port}" not in str(caught.value)


def test_recorder_counts_connections(recorder: Recorder) -> None:
    socket.create_connection(("localhost", recorder.port), timeout=PATIENCE).close()
    until(lambda: recorder.connections == 1)


@proves("FAULT-57", "FLO-11", "NET-5")
def test_redirect_of_the_token_endpoint_is_not_followed(recorder: Recorder) -> None:
    with publisher(lambda exchange, _: redirect(exchange, f"http://localhost:{recorder.port}/")) as (issuer, _):
        client = OAuthClient(
            server=Server(authorization_endpoint=f"{issuer}/authorize", token_endpoint=f"{issuer}/token"),
            client_id="me",
            send=send,
        )
        with raises_code(TransientError, "redirect-refused"):
            client.refresh(Secret("refresh-token"))
        assert recorder.connections == 0


# --- FLO-10: device sign-ins ------------------------------------------------------------------------------------------


@proves("FAULT-54", "FLO-10")
@pytest.mark.parametrize(
    ("script", "pauses", "code", "fact"),
    [
        (("pending", "slow_down", "pending", "slow_down", "approved"), [5, 5, 10, 10, 15], None, ""),
        (("pending", "denied"), [5, 5], "sign-in-not-completed", "access_denied"),
        (("slow_down", "expired"), [5, 10], "device-code-expired", "expired_token"),
        (("pending",) * 20, [5, 5, 5, 3], "device-code-expired", ""),
    ],
)
def test_device_polling_follows_the_intervals(
    script: tuple[str, ...], pauses: list[float], code: str | None, fact: str
) -> None:
    lifetime = 18.0 if code == "device-code-expired" else 600.0
    clock = ManualClock()
    with AuthorizationServer(Policy(device_interval=None, device_lifetime=lifetime)) as server:
        server.script_device(*script)
        asked = ScriptedUser(device=lambda user_code, uri, complete: None)
        profile = on_loopback(clock=clock)
        there = Server(
            authorization_endpoint=server.urls.authorize,
            token_endpoint=server.urls.token,
            device_authorization_endpoint=server.urls.device,
        )
        client = OAuthClient.of(profile, there, server.client_id)
        ended: list[object] = []

        def run() -> None:
            try:
                ended.append(device_sign_in(profile, client, asked, scopes=("a",)))
            except FreshkeyError as problem:
                ended.append(problem)

        waiting = threading.Thread(target=run)
        waiting.start()
        for expected in pauses:
            assert list(clock.wait_until_waiting()) == [pytest.approx(expected)]
            clock.advance(expected)
        waiting.join(PATIENCE)
    (outcome,) = ended
    assert isinstance(outcome, LoginRequired) is (code is not None)
    assert getattr(outcome, "code", None) == code
    assert fact in str(outcome)
    assert len(asked.device_codes) == 1
