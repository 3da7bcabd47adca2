"""What a browser gets from the process that opens it (FLO-7, FLO-8): browsers written in Python, for every system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from freshkey.oauth import browser
from promises import proves
from waiting import until


URL = "https://id.example.com/authorize?a=b&c=%20d;e=(f)*!&PATH=%25PATH%25"

BROWSER = """
import json, os, pathlib, sys, time
folder = pathlib.Path(__file__).parent
seen = {"arguments": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd()}
print("printed", flush=True)
(folder / "part").write_text(json.dumps(seen))
(folder / "part").replace(folder / "seen")
while (folder / "stay").exists():
    time.sleep(0.02)
sys.exit(3 if "--fail" in sys.argv else 0)
"""


@frozen
class Browsers:
    """A browser written in Python, in a folder of its own.

    Attributes:
        folder: The folder.
        interpreter: The program that runs it.
    """

    folder: Path
    interpreter: str

    def entry(self, *options: str) -> str:
        """Return a command for ``BROWSER``."""
        script = self.folder / "browser.py"
        return " ".join([f'"{self.interpreter}" -I "{script}"', *options])

    def environ(self, *entries: str, **variables: str) -> dict[str, str]:
        """Return an environment with these commands."""
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
        return {**kept, "BROWSER": (";" if sys.platform == "win32" else ":").join(entries), **variables}

    def seen(self) -> dict[str, Any]:
        """Return what the browser has recorded."""
        record = self.folder / "seen"
        until(record.exists, "the browser to start")
        return json.loads(record.read_text())  # type: ignore[no-any-return]


@pytest.fixture
def browsers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browsers]:
    folder = tmp_path / "own browsers"
    folder.mkdir()
    (folder / "browser.py").write_text(BROWSER)
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout")
    yield Browsers(folder, os.path.realpath(sys.executable))
    (folder / "stay").unlink(missing_ok=True)


@proves("FLO-7", "FLO-8")
@pytest.mark.parametrize("options", [(), ("%s",), ("--app=%s",), ("--scale=150%%", "%s")])
def test_the_url_arrives_as_one_argument(browsers: Browsers, options: tuple[str, ...]) -> None:
    assert browser.open_browser(URL, environ=browsers.environ(browsers.entry(*options))) is True
    expected = [one.replace("%s", URL).replace("%%", "%") for one in options or ("%s",)]
    assert browsers.seen()["arguments"] == expected


@proves("LEK-4")
def test_the_environment_has_no_secrets_and_nothing_of_the_project(browsers: Browsers, tmp_path: Path) -> None:
    secrets = {"FRESHKEY_PASSPHRASE": "CANARY-1", "SOME_PROVIDER_API_KEY": "CANARY-2", "NIGHTLY_TOKEN": "CANARY-3"}
    plugin = str(tmp_path / "checkout" / "plugin")
    environ = browsers.environ(browsers.entry(), LANG="C", ANY_PLUGIN=plugin, **secrets)

    assert browser.open_browser(URL, environ=environ)

    seen = browsers.seen()
    assert seen["environ"]["LANG"] == "C"
    assert "CANARY" not in str(seen)
    assert "ANY_PLUGIN" not in seen["environ"]
    assert not Path(seen["cwd"]).is_relative_to(tmp_path / "checkout")


def test_the_next_browser_is_tried_if_one_fails(browsers: Browsers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_SECONDS_TO_FAIL", 60.0)
    entries = (browsers.entry("--fail"), "missing", browsers.entry("--second"))

    assert browser.open_browser(URL, environ=browsers.environ(*entries)) is True
    assert browsers.seen()["arguments"] == ["--second", URL]


def test_a_browser_that_keeps_running_is_not_waited_for(browsers: Browsers) -> None:
    (browsers.folder / "stay").touch()
    started = time.monotonic()

    assert browser.open_browser(URL, environ=browsers.environ(browsers.entry())) is True
    assert time.monotonic() - started < 20
    assert browsers.seen()["arguments"] == [URL]


@pytest.mark.parametrize("closed", [False, True])
def test_what_a_browser_prints_goes_to_stderr_if_there_is_one(browsers: Browsers, closed: bool) -> None:
    close = "import os; os.close(2); " if closed else ""
    script = f"{close}from freshkey.oauth import browser; print(browser.open_browser({URL!r}))"

    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **browsers.environ(browsers.entry())},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert (ran.stdout, ran.stderr) == ("True\n", "" if closed else "printed\n")
    assert browsers.seen()["arguments"] == [URL]


@proves("FLO-8")
def test_a_script_of_the_project_is_not_started(browsers: Browsers, tmp_path: Path) -> None:
    script = tmp_path / "checkout" / "browser.py"
    script.write_text(BROWSER)
    of_project = f'"{browsers.interpreter}" "{script}"'

    assert browser.browser_program(browsers.environ(of_project, browsers.entry())) == browsers.interpreter
    assert browser.open_browser(URL, environ=browsers.environ(of_project, browsers.entry())) is True
    assert browsers.seen()["arguments"] == [URL]
    assert not (tmp_path / "checkout" / "seen").exists()


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows looks up programs in the working directory")
@proves("FLO-8")
def test_a_browser_looks_up_programs_where_the_system_has_them(browsers: Browsers, tmp_path: Path) -> None:
    environ = browsers.environ(browsers.entry(), ComSpec=str(tmp_path / "evil.exe"))
    assert browser.open_browser(URL, environ=environ) is True
    seen = browsers.seen()["environ"]
    assert seen["NODEFAULTCURRENTDIRECTORYINEXEPATH"] == "1"
    assert seen["COMSPEC"].lower().endswith("\\system32\\cmd.exe")


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows opens URLs itself")
@pytest.mark.parametrize("works", [True, False])
def test_windows_opens_the_url_itself_and_outside_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    opened: list[tuple[str, Path]] = []

    def start(url: str, *, cwd: Path) -> None:
        opened.append((url, cwd))
        if not works:
            raise OSError

    monkeypatch.setattr(os, "startfile", start, raising=False)

    assert browser.open_browser(URL, environ={"DISPLAY": ":0", "PATH": str(tmp_path)}) is works
    ((url, folder),) = opened
    assert url == URL
    assert not folder.is_relative_to(tmp_path)
