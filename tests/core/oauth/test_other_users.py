"""Another user of the machine tries to finish our sign-in with an account of her own (FLO-14), as a real user."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from freshkey.oauth import Grant, OAuthClient, Server, authorize, open_browser, pages
from freshkey.secret import Secret
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import visit
from promises import proves
from second_user import SecondUser
from sending import on_loopback
from waiting import until


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux names the owner of a socket")

BROWSER = """#!{python} -I
import http.cookiejar, pathlib, sys, time, urllib.request
folder = pathlib.Path({folder!r})
(folder / "running").touch()
deadline = time.monotonic() + 60
while not (folder / "go").exists() and time.monotonic() < deadline:
    time.sleep(0.01)
jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
urllib.request.build_opener(jar, urllib.request.ProxyHandler({{}})).open(sys.argv[1], timeout=30).read()
"""

READ_ARGUMENTS = """
found = []
for process in pathlib.Path("/proc").iterdir():
    if process.name.isdigit():
        try:
            found.append((process / "cmdline").read_text(errors="replace"))
        except OSError:
            pass
print(json.dumps(found))
"""

ASK = """
family, host, port, count, after = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
answers = set()
for target, authority in json.loads(sys.argv[6]) * count:
    with socket.socket(family) as connection:
        connection.settimeout(30)
        connection.connect((host, port))
        connection.sendall(f"GET {target} HTTP/1.1\\r\\nHost: {authority}\\r\\n\\r\\n".encode())
        if after == "close":
            continue
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionError:
            pass
        answers.add(received.decode())
print(json.dumps(sorted(answers)))
"""

PROXY = """
import select
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
while True:
    here, _ = listener.accept()
    there = socket.socket()
    there.connect(("127.0.0.1", int(sys.argv[1])))
    open_ends = {here: there, there: here}
    while there in open_ends:
        for ready in select.select(list(open_ends), [], [])[0]:
            data = ready.recv(65536)
            if data:
                open_ends[ready].sendall(data)
            else:
                del open_ends[ready]
    here.close()
    there.close()
"""

THROUGH = """
with socket.socket() as connection:
    connection.settimeout(30)
    connection.connect(("127.0.0.1", int(sys.argv[1])))
    connection.sendall(sys.argv[2].encode())
    received = b""
    while data := connection.recv(65536):
        received += data
print(received.decode())
"""

IN_A_NAMESPACE = """
import ctypes, json, os, pathlib, socket, sys
uid = int(sys.argv.pop(1))
os.chdir("/")
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
libc = ctypes.CDLL(None)
libc.prctl(4, 1, 0, 0, 0)  # dumpable, so that /proc/self is hers
if libc.unshare(0x10000000):
    print("null")
    sys.exit()
pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
assert os.getuid() == 0
"""


class AtDesk(ScriptedUser):
    """A user whose browser is a program that the toolkit opens, and that waits for a file before it goes on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(browser=lambda url: None)
        self._folder = folder
        program = folder / "browser"
        program.write_text(BROWSER.format(python=sys.executable, folder=str(folder)))
        program.chmod(0o755)

    def open_url(self, url: str) -> None:
        self.started.append(url)
        environ = {"BROWSER": str(self._folder / "browser"), "PATH": os.defpath}
        assert open_browser(url, allow_insecure_loopback=True, environ=environ)

    def go_on(self) -> None:
        (self._folder / "go").touch()


class Victim:
    """A sign-in in progress, in a browser that is open and waits."""

    def __init__(self, server: AuthorizationServer, user: AtDesk, **options: object) -> None:
        self.user = user
        self.grants: list[Grant | BaseException] = []
        self._server, self._options = server, options
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until(lambda: user.prompts)  # the prompt comes after the browser

    def _run(self) -> None:
        urls = self._server.urls
        server = Server(authorization_endpoint=urls.authorize, token_endpoint=urls.token, issuer=urls.issuer)
        try:
            profile = on_loopback()
            client = OAuthClient.of(profile, server, self._server.client_id)
            grant = authorize(profile, client, self.user, scopes=(), timeout=60, **self._options)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001  looked at by the test
            self.grants.append(error)
        else:
            self.grants.append(grant)

    @property
    def start(self) -> str:
        return self.user.started[0]

    @property
    def redirect(self) -> str:
        """The response of another account, with the state that only the prompt shows."""
        found = re.search(r"http://\S+[?&]state=\S+", "\n".join([*self.user.prompts, *self.user.started]))
        assert found
        asked = dict(parse_qsl(urlsplit(found[0]).query))
        return f"{asked['redirect_uri']}?code=of-mallory&state={asked['state']}"

    def finish(self) -> Grant:
        self.user.go_on()
        self._thread.join(60)
        (grant,) = self.grants
        if isinstance(grant, BaseException):
            raise grant
        return grant


Begin = Callable[..., Victim]


@pytest.fixture
def begin(open_tmp_path: Path) -> Iterator[Begin]:
    with ExitStack() as stack:
        server = stack.enter_context(AuthorizationServer())
        user = AtDesk(open_tmp_path)
        stack.callback(user.go_on)
        yield lambda **options: Victim(server, user, **options)


def ask(
    attacker: SecondUser, urls: list[str], *, host: str = "127.0.0.1", family: int = 2, count: int = 1, after: str = ""
) -> list[str]:
    """Have her send requests to the victim's port, and return the different answers that she got."""
    parts = urlsplit(urls[0])
    targets = [(url.removeprefix(f"http://{parts.netloc}"), parts.netloc) for url in urls]
    return json.loads(attacker.run(ASK, family, host, parts.port, count, after, json.dumps(targets)))  # type: ignore[no-any-return]


@proves("FLO-14")
def test_argument_lists_hold_nothing_that_another_user_can_use(second_user: SecondUser, begin: Begin) -> None:
    victim = begin()

    arguments = [line for line in json.loads(second_user.run(READ_ARGUMENTS)) if victim.start in line]

    secrets = dict(parse_qsl(urlsplit(victim.redirect).query))
    assert arguments  # she sees the browser
    assert not [line for line in arguments if secrets["state"] in line or "code_challenge" in line]
    assert ask(second_user, [victim.start]) == [pages.OTHER_USER.decode()]
    grant = victim.finish()
    assert grant.code != Secret("of-mallory")


@proves("FLO-14")
@pytest.mark.parametrize(
    ("redirect_host", "family", "host"),
    [
        pytest.param("127.0.0.1", 2, "127.0.0.1", id="IPv4"),
        pytest.param("127.0.0.1", 10, "::ffff:127.0.0.1", id="mapped"),
        pytest.param("::1", 10, "::1", id="IPv6"),
        pytest.param("localhost", 10, "::1", id="localhost"),
    ],
)
def test_another_user_cannot_answer_even_with_the_state(
    second_user: SecondUser, begin: Begin, redirect_host: str, family: int, host: str
) -> None:
    victim = begin(redirect_host=redirect_host)
    urls = [victim.redirect, victim.redirect.replace("code=of-mallory", "error=access_denied"), victim.start]

    assert ask(second_user, urls, host=host, family=family) == [pages.OTHER_USER.decode()]

    assert victim.finish().code != Secret("of-mallory")
    assert [str(second_user.uid) in notice for notice in victim.user.notices] == [True]


@proves("FLO-14")
@pytest.mark.parametrize("after", ["read", "close"])
def test_another_user_cannot_end_the_sign_in_with_a_flood(second_user: SecondUser, begin: Begin, after: str) -> None:
    """A closed socket has no owner any more: the kernel then reports root, whose requests it must not look like."""
    victim = begin()
    urls = [victim.redirect, victim.start, victim.redirect.replace("state=", "state=x")]

    ask(second_user, urls, count=50, after=after)

    assert victim.finish().code != Secret("of-mallory")
    assert len(victim.user.notices) <= 1


def test_another_users_idle_connections_do_not_stop_the_sign_in(second_user: SecondUser, begin: Begin) -> None:
    victim = begin()
    hold = """
held = [socket.socket() for _ in range(40)]
for connection in held:
    connection.connect(("127.0.0.1", int(sys.argv[1])))
print("held", flush=True)
sys.stdin.readline()
"""
    with second_user.start(hold, urlsplit(victim.start).port) as her:
        assert her.stdout
        assert her.stdout.readline() == "held\n"
        assert victim.finish().code != Secret("of-mallory")
        her.communicate("\n")


def test_a_namespace_of_her_own_does_not_make_another_user_root(second_user: SecondUser, begin: Begin) -> None:
    victim = begin()
    parts = urlsplit(victim.redirect)
    target = [(f"{parts.path}?{parts.query}", parts.netloc)]
    arguments = [second_user.uid, 2, "127.0.0.1", parts.port, 1, "", json.dumps(target)]
    command = [sys.executable, "-I", "-c", IN_A_NAMESPACE + ASK, *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    if json.loads(answer) is None:
        pytest.skip("users cannot make namespaces here")

    assert json.loads(answer) == [pages.OTHER_USER.decode()]
    assert victim.finish().code != Secret("of-mallory")


# --- through a proxy of another user, as containers and port forwarders have ---------------------------------------


@contextmanager
def proxy(user: SecondUser, port: int) -> Iterator[int]:
    """A port forwarder that runs as the overflow uid, as one in an unmapped container does; its port."""
    nobody = SecondUser(name="nobody", uid=65534, gid=user.gid)
    with nobody.start(PROXY, port) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class BehindProxy(ScriptedUser):
    """A user whose browser reaches the listener only through a port forwarder."""

    port = 0

    def open_url(self, url: str) -> None:
        self.started.append(url)


@pytest.mark.parametrize("by", ["start address", "authorization URL"])
def test_a_browser_behind_a_port_forwarder(second_user: SecondUser, by: str) -> None:
    def through(port: int, url: str, *headers: str) -> str:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}".rstrip("?")
        head = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", *headers, "", ""]
        return second_user.run(THROUGH, port, "\r\n".join(head))

    with AuthorizationServer() as server, ExitStack() as stack:
        user = BehindProxy(browser=lambda url: None)
        victim = Victim(server, user)  # type: ignore[arg-type]
        user.go_on = lambda: None  # type: ignore[attr-defined]
        port = stack.enter_context(proxy(second_user, urlsplit(victim.start).port or 0))
        if by == "authorization URL":  # typed by hand, or sent by somebody else: cannot be told apart
            assert "did not start the sign-in" in through(port, victim.redirect)
            assert [victim.start in notice for notice in user.notices] == [True]
        start = through(port, victim.start)
        cookie, location = (re.search(rf"{name}: ([^;\r\n]+)", start) for name in ("Set-Cookie", "Location"))
        assert cookie
        assert location
        back = visit(location[1]).location or ""
        assert "did not start the sign-in" in through(port, victim.redirect)  # somebody else behind the same proxy
        assert "You can close this page" in through(port, back, f"Cookie: {cookie[1]}")
        assert victim.finish().code != Secret("of-mallory")
