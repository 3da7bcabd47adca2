"""FAULT-60: crash reports, debuggers and other users of the machine see no secret."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import freshkey
import freshkey_claude_oauth
from example_provider import token
from freshkey import Configuration, Keeper
from freshkey._stores.records.codec import Codec
from freshkey.errors import FreshkeyError
from freshkey.model.credential import OAuthToken
from freshkey.model.exchange import Response
from freshkey.oauth import Grant, OAuthClient, Pkce, Server
from freshkey.secret import Secret
from freshkey_testing import AuthorizationServer, ScriptedUser, assert_no_secret
from freshkey_testing.browser import copy_code, follow
from home import Home
from promises import proves
from typist import Typist


OURS = tuple(str(Path(package.__file__ or "").parent) for package in (freshkey, freshkey_claude_oauth))
NOT_OURS = str(Path(OURS[0]) / "testing")


def crash_report(error: BaseException) -> str:
    """Return the local variables of freshkey's frames, as shown by a traceback of rich, and the whole traceback."""
    from rich.traceback import Traceback

    reporter = Traceback.from_exception(
        type(error),
        error,
        error.__traceback__,
        show_locals=True,
        locals_max_length=None,  # type: ignore[arg-type]  # in rich, None means no limit
        locals_max_string=None,  # type: ignore[arg-type]
        locals_hide_dunder=False,
    )
    frames = [
        frame
        for stack in reporter.trace.stacks
        for frame in stack.frames
        if frame.filename.startswith(OURS) and not frame.filename.startswith(NOT_OURS)
    ]
    assert frames, "the report has no frame of freshkey"
    shown = [
        f"{frame.filename}:{frame.lineno} {name} = {value}"
        for frame in frames
        for name, value in (frame.locals or {}).items()
    ]
    return "\n".join([*shown, *traceback.format_exception(error)])


ACCESS, REFRESH, CODE, VERIFIER = (f"canary-{name}-8d1f3b5c7a90" for name in ("access", "refresh", "code", "verifier"))
SECRETS = {ACCESS, REFRESH, CODE, VERIFIER, "canary-device-8d1f3b5c7a90"}

ANSWERS: list[tuple[int, object]] = [
    (200, {"access_token": ACCESS, "refresh_token": [REFRESH]}),
    (200, {"access_token": [ACCESS]}),
    (200, [ACCESS]),
    (200, f'{{"access_token": "{ACCESS}"'),
    (200, f"<html>{ACCESS}"),
    (400, {"error": "invalid_grant", "error_description": REFRESH}),
    (400, {"error": "invalid_request", "error_description": f"refresh token {REFRESH} is expired"}),
    (400, {"error": REFRESH}),
    (401, {"error": {"type": "authentication_error", "message": REFRESH}}),
    (500, REFRESH),
    (302, REFRESH),
]
USELESS: list[tuple[int, object]] = [
    (200, {"access_token": f"{ACCESS}\r\n{ACCESS}", "refresh_token": REFRESH}),
    (200, {"access_token": ACCESS, "refresh_token": REFRESH, "token_type": "mac"}),
    (200, {"access_token": ACCESS, "refresh_token": REFRESH, "token_type": REFRESH}),
]
ODD: list[object] = [
    {"access_token": ACCESS, "refresh_token": REFRESH, "expires_in": -1},
    {"access_token": ACCESS, "refresh_token": REFRESH, "expires_in": REFRESH, "expires_at": ACCESS},
    {"access_token": ACCESS, "refresh_token": f"{REFRESH}\r\n", "scope": [7, f"{ACCESS}\x1b"]},
    {"access_token": f"{ACCESS}\r\n", "refresh_token": REFRESH},
    f'{{"access_token": "{ACCESS}", "access_token": "{REFRESH}"}}',
    *(body for _, body in USELESS),
]


def answer(status: int, body: object) -> Response:
    return Response(status=status, headers={}, body=(body if isinstance(body, str) else json.dumps(body)).encode())


def raised(act: Callable[[], object]) -> FreshkeyError:
    with pytest.raises(FreshkeyError) as caught:
        act()
    return caught.value


VERBS: Mapping[str, Callable[[OAuthClient], object]] = {
    "exchange": lambda client: client.exchange(
        Grant(
            code=Secret(CODE),
            redirect_uri="http://127.0.0.1:1/",
            pkce=Pkce(verifier=Secret(VERIFIER), challenge="c"),
            state="s",
        )
    ),
    "refresh": lambda client: client.refresh(Secret(REFRESH)),
}


@proves("FAULT-60", "LEK-1", "NET-8")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("status", "body"), ANSWERS, ids=range(len(ANSWERS)))
def test_crash_reports_of_invalid_responses_show_no_secret(verb: str, status: int, body: object) -> None:
    server = Server(authorization_endpoint="https://id.example.com/a", token_endpoint="https://id.example.com/t")
    client = OAuthClient(server=server, client_id="me", send=lambda request: answer(status, body))
    assert_no_secret(crash_report(raised(lambda: VERBS[verb](client))), SECRETS, "a crash report")


@proves("FAULT-60", "LEK-3", "NET-8")
@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_odd_responses_are_read_without_logging_a_secret(body: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server(authorization_endpoint="https://id.example.com/a", token_endpoint="https://id.example.com/t")
    client = OAuthClient(server=server, client_id="me", send=lambda request: answer(200, body))
    read = client.refresh(Secret(REFRESH))
    assert_no_secret(f"{read!r} {read.unusable()} {caplog.text}", SECRETS, "a log record")


DEVICE = "canary-device-8d1f3b5c7a90"


@proves("FAULT-60", "LEK-1", "NET-8")
@pytest.mark.parametrize("facts", [{}, {"user_code": 7}, {"user_code": "A", "verification_uri": 7}])
def test_crash_reports_of_an_invalid_device_response_show_no_secret(facts: dict[str, object]) -> None:
    from freshkey.oauth.answers import read_device

    given = answer(200, {"device_code": DEVICE, "expires_in": 60, **facts})
    assert_no_secret(crash_report(raised(lambda: read_device(given, 0.0))), SECRETS, "a crash report")


DAMAGES: list[Callable[[str], str]] = [
    lambda text: text[:-1],
    lambda text: text.replace('"schema": 1', '"schema": 2'),
    lambda text: text.replace("example", "another"),
    lambda text: text.replace('"format": "token"', '"format": "odd"'),
    lambda text: text.replace('"lifetime": 3600.0', '"lifetime": "3600"'),
]


@proves("FAULT-60", "LEK-1")
@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_crash_reports_of_corrupt_records_show_no_secret(damage: Callable[[str], str]) -> None:
    codec = Codec({"token": OAuthToken}, provider="example")
    whole = codec.encode(token(access_token=Secret(ACCESS), refresh_token=Secret(REFRESH))).reveal()
    damaged = Secret(damage(whole))
    assert damaged != Secret(whole)
    assert_no_secret(crash_report(raised(lambda: codec.decode(damaged))), SECRETS, "a crash report")


@proves("FAULT-60", "LEK-1", "LEK-3", "NET-8")
@pytest.mark.parametrize("by", ["redirect", "paste"])
def test_crash_reports_of_whole_flows_show_no_secret(tmp_path: Path, by: str) -> None:
    reports: list[str] = []
    with AuthorizationServer() as server:
        settings = {**server.settings(), "provider": "claude_oauth", "store": "file"}
        if by == "paste":
            settings["paste_redirect_url"] = server.urls.paste
        configuration = Configuration.of({"me": settings}, state_dir=tmp_path / "state", default="me")
        with Keeper(configuration=configuration) as keeper:

            def sign_in() -> object:
                browser = follow if by == "redirect" else None
                with ScriptedUser(browser=browser, paste=copy_code if by == "paste" else None, confirm=True) as user:
                    return keeper.login(interaction=user)

            sign_in()
            for status, body in (*ANSWERS, *USELESS):
                if status == 500:
                    continue  # is retried
                server.next_response(status, body if isinstance(body, str) else json.dumps(body))
                reports.append(crash_report(raised(sign_in)))
            server.revoke_grants()
            reports.append(crash_report(raised(keeper.refresh)))
            sign_in()
            server.next_response(400, '{"error": "invalid_client"}')
            reports.append(crash_report(raised(keeper.refresh)))
        secrets = {*server.secrets(), *SECRETS}
    assert len(secrets) > 20
    assert len(reports) == len(ANSWERS) + len(USELESS) - 1 + 2
    for reporter in reports:
        assert_no_secret(reporter, secrets, "a crash report")


def test_crash_report_would_show_a_secret() -> None:
    def careless() -> None:
        text = f"def read():\n text = '{CODE}'\n raise ValueError('careless')\nread()"
        code = compile(text, OURS[0] + "/x.py", "exec")
        exec(code, {})  # noqa: S102  makes a frame of freshkey

    with pytest.raises(ValueError, match="careless") as caught:
        careless()
    with pytest.raises(AssertionError):
        assert_no_secret(crash_report(caught.value), SECRETS, "a crash report")


# --- other processes: LEK-4, LEK-5 ---------------------------------------------------------------------------------


WAITS = """
import resource, sys
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
from freshkey_cli import main
sys.exit(main(["login", "--no-browser"]))
"""

READER = """
import os, sys
pid, wanted = int(sys.argv[1]), sys.argv[2].encode()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for name in ("environ", "mem", "maps", "fd", "auxv", "stack", "root"):
    path = f"/proc/{pid}/{name}"
    try:
        if name == "fd":
            os.listdir(path)
        elif name == "root":
            os.readlink(path)
        else:
            with open(path, "rb") as file:
                file.read(1)
    except OSError as error:
        continue
    print(name)
with open(f"/proc/{pid}/cmdline", "rb") as file:
    print("cmdline", wanted in file.read())
"""


@pytest.fixture
def signing_in(tmp_path: Path) -> Iterator[Typist]:
    """A command that waits for the user, with a state and a verifier in memory and a secret in its environment."""
    home = Home(tmp_path, "file")
    home.variables["FRESHKEY_CONFIG_DIR"] = str(tmp_path / "config")
    home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
    home.variables["FRESHKEY_CANARY"] = CODE
    with AuthorizationServer() as server:
        home.configure(**server.settings())
        with Typist([sys.executable, "-c", WAITS], home.environment) as typist:
            typist.read_until("Paste it only here")
            yield typist


as_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="becoming another user needs root, and POSIX"
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="only POSIX has limits of processes, such as for core dumps")


@proves("FAULT-60", "LEK-4", "LEK-5")
@as_root
def test_another_user_cannot_read_the_memory_or_environment_of_a_command(signing_in: Typist) -> None:
    pid = signing_in._process.pid
    seen = subprocess.run(
        [sys.executable, "-I", "-c", READER, str(pid), CODE], capture_output=True, text=True, timeout=30, check=True
    )
    assert seen.stdout.split() == ["cmdline", "False"]


SAME_USER = """
import ctypes, os, resource, signal, sys
from freshkey_cli.process import harden
reading, writing = os.pipe()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
# Changing the user has made the process non-dumpable; undo that.
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
child = os.fork()
if child == 0:
    if sys.argv[1] == "hardened":
        harden()
    os.write(writing, b".")
    signal.pause()
os.read(reading, 1)
for name in ("environ", "mem"):
    try:
        with open(f"/proc/{child}/{name}", "rb") as file:
            file.read(0)
        print(name, end=" ")
    except PermissionError:
        print("no", name, end=" ")
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""


@proves("FAULT-60", "LEK-5")
@as_root
@pytest.mark.parametrize(("kind", "expected"), [("plain", "environ mem"), ("hardened", "no environ no mem")])
def test_process_of_the_same_user_cannot_read_the_memory_or_environment_of_a_command(kind: str, expected: str) -> None:
    seen = subprocess.run(
        [sys.executable, "-c", SAME_USER, kind], capture_output=True, text=True, timeout=30, check=True
    )
    assert seen.stdout.strip() == expected


CRASHES = """
import os, resource, signal, sys
os.chdir(sys.argv[1])
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
if sys.argv[2] == "hardened":
    from freshkey_cli import process
    process.harden()
secret = sys.stdin.readline().strip()
os.kill(os.getpid(), signal.SIGSEGV)
"""


def crash(folder: Path, kind: str) -> tuple[int, list[Path]]:
    """Crash a process that has a secret; return its wait(2) status and its core dumps."""
    folder.mkdir()
    reading, writing = os.pipe()
    os.write(writing, f"{CODE}\n".encode())
    os.close(writing)
    command = [sys.executable, "-c", CRASHES, str(folder), kind]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)])
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGSEGV
    return status, list(folder.iterdir())


@proves("FAULT-60", "LEK-5")
@posix
def test_command_that_crashes_leaves_no_core_dump(tmp_path: Path) -> None:
    plain, cores = crash(tmp_path / "plain", "plain")
    if not os.WCOREDUMP(plain):
        pytest.skip("this machine does not write core dumps")
    # A library does not change its application's core dumps, so this dump, if it is in the folder, has the secret.
    assert all(CODE.encode() in core.read_bytes() for core in cores)
    for core in cores:
        core.unlink()
    hardened, cores = crash(tmp_path / "hardened", "hardened")
    assert not os.WCOREDUMP(hardened)
    assert cores == []


@proves("FAULT-60", "LEK-5")
@posix
def test_command_hardens_itself_first(signing_in: Typist) -> None:
    limits = Path(f"/proc/{signing_in._process.pid}/limits").read_text("ascii")
    soft = next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4]
    assert soft == "0"
