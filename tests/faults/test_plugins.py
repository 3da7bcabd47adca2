"""A broken provider affects only itself, and is named in the error."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promises import proves


CANARY = "canary-3b6f0c1d9e57a842"

GOOD = """
import attrs
from freshkey import OAuthToken, hookimpl
from freshkey.clock import SYSTEM
from freshkey.model.description import Description
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret

@attrs.frozen
class Settings:
    pass

def detect(profile):
    return Detected(kind="token", origin="here")

@hookimpl
def describe(profile, credential):
    return Description(title="A", settings=Settings, formats={"token": OAuthToken},
                       sources=(Source(id="machine", title="This machine", owned=False, detect=detect),))

@hookimpl
def acquire(profile, source, interaction):
    return OAuthToken(obtained=SYSTEM.now(), lifetime=3600.0, access_token=Secret("at-of-" + profile.name))

@hookimpl
def refresh(profile, credential, reporter):
    return credential
"""

PROGRAM = """
import json, os, sys, threading, time
from pathlib import Path
from freshkey import Configuration, FreshkeyError, Keeper, errors

def ask(name):
    try:
        return keeper.get(name).token.reveal()
    except FreshkeyError as error:
        return f"{type(error).__name__} [{error.code}] {error}"

tables = {name: {"provider": name, "store": "memory"} for name in json.loads(sys.argv[2])}
configuration = Configuration.of(tables, state_dir=Path(sys.argv[1]) / "state", default="good")
keeper = Keeper(configuration=configuration, timeout=20.0)
"""

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Install a good provider and a bad one like a package installer, and run code with a keeper for both."""

    def install(name: str, code: str, distribution: str) -> None:
        info = tmp_path / "site" / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n", "utf-8")
        module = f"fixture_{distribution.replace('-', '_')}"
        (info / "entry_points.txt").write_text(f"[freshkey.providers]\n{name} = {module}\n", "utf-8")
        (tmp_path / "site" / f"{module}.py").write_text(code, "utf-8")

    def run(bad: str, act: str, *, good: str = GOOD, squatter: str | None = None) -> tuple[Any, str]:
        install("good", good, "good-dist")
        install("bad", bad.replace("GOOD", good), "bad-dist")
        if squatter is not None:
            install("good", squatter, "squatting-dist")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM + textwrap.dedent(act), str(tmp_path), '["good", "bad"]'],
            env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return run


BOTH = 'print(json.dumps([ask("bad"), ask("good"), ask("bad"), ask("good")]))'


@proves("FAULT-59", "TRU-1")
@pytest.mark.parametrize(
    ("code", "what"),
    [
        (f"raise ValueError('{CANARY}')", "ValueError in fixture_bad_dist.py, line 1"),
        (f"raise SystemExit('{CANARY}')", "SystemExit in fixture_bad_dist.py, line 1"),
        ("import sys; sys.exit(0)", "SystemExit in fixture_bad_dist.py, line 1"),
        ("import a_library_that_is_not_there", "'a_library_that_is_not_there'"),
        ("def describe(", "SyntaxError"),
        ("class Stop(BaseException): ...\nraise Stop", "Stop in fixture_bad_dist.py, line 2"),
    ],
)
def test_failed_import_affects_only_that_provider(run: Run, code: str, what: str) -> None:
    (bad, good, again, still_good), log = run(code, BOTH)
    assert bad == again
    assert bad.startswith("PluginBroken [plugin-not-loadable] bad: ")
    assert "bad-dist 1.2" in bad
    assert what in bad
    assert good == still_good == "at-of-good"
    assert CANARY not in bad + log


HANGS = "import threading\nthreading.Event().wait()"


@proves("FAULT-59", "TRU-1")
def test_import_that_hangs_delays_neither_other_profiles_nor_the_exit_of_the_process(run: Run) -> None:
    act = """
    waiting = threading.Thread(target=keeper.get, args=("bad",), daemon=True)
    waiting.start()
    while "fixture_bad_dist" not in sys.modules:
        time.sleep(0.001)
    began = time.monotonic()
    good = ask("good")
    took = time.monotonic() - began
    keeper._timeout = 0.1
    print(json.dumps([good, took, ask("bad"), ask("good")]))
    """
    (good, took, bad, still_good), _ = run(HANGS, act)
    assert good == still_good == "at-of-good"
    assert took < 10, "the other profile's timeout was 20 s"
    assert bad.startswith("TransientError [renewal-timed-out] bad: ")


@proves("FAULT-59", "TRU-2")
@pytest.mark.parametrize(
    ("hook", "arguments"), [("describe", "profile, credential"), ("acquire", "profile, source, interaction")]
)
def test_hook_that_hangs_delays_only_its_own_profile(run: Run, hook: str, arguments: str) -> None:
    code = f"GOOD\n@hookimpl\ndef {hook}({arguments}):\n" + textwrap.indent(HANGS, " ")
    act = """
    keeper._timeout = 0.5
    answers = [ask("bad")]
    keeper._timeout = 20.0
    answers += [ask("good"), ask("good")]
    print(json.dumps(answers))
    """
    (bad, good, still_good), _ = run(code, act)
    assert bad.startswith("TransientError [renewal-timed-out] bad: ")
    assert good == still_good == "at-of-good"


@proves("FAULT-59", "TRU-1")
def test_two_distributions_that_claim_the_same_name_are_both_named_and_not_imported(run: Run) -> None:
    act = """
    print(json.dumps([ask("good"), sorted(name for name in sys.modules if name.startswith("fixture_"))]))
    """
    (good, imported), _ = run("GOOD", act, squatter=f"print('{CANARY}')")
    assert good.startswith("ConfigurationError [plugin-name-conflict] ")
    assert "good-dist" in good
    assert "squatting-dist" in good
    assert imported == []


MUTATES = """
import httpx
def stolen(*arguments, **more):
    raise AssertionError("the plugin's own client")
httpx.Client.request = httpx.request = httpx.post = httpx.get = stolen
httpx.Client.__init__.__kwdefaults__["verify"] = False
httpx.Client.__init__.__kwdefaults__["follow_redirects"] = True
httpx._config.DEFAULT_TIMEOUT_CONFIG = httpx.Timeout(None)
GOOD
"""


@proves("FAULT-59", "NET-5")
def test_plugin_that_patches_the_http_library_does_not_affect_requests_of_the_core(run: Run, tmp_path: Path) -> None:
    """This is not a sandbox: each request sets the options that matter, instead of relying on defaults."""
    act = """
    import httpx
    from freshkey._http import client as http
    given = []
    real = httpx.Client.__init__
    def watched(client, **options):
        given.append({name: str(options.get(name)) for name in ("follow_redirects", "timeout")}
                     | {"verifies": options["verify"].verify_mode.name})
        return real(client, **options)
    first = [ask("bad"), ask("good")]
    httpx.Client.__init__ = watched
    try:
        http.send(http.Request(method="GET", url="https://127.0.0.1:1/"), deadline=5)
    except FreshkeyError as error:
        first.append(type(error).__name__)
    print(json.dumps([first, given]))
    """
    (answers, given), _ = run(MUTATES, act)
    assert answers[:2] == ["at-of-bad", "at-of-good"]
    assert answers[2] == "TransientError"
    assert given == [{"follow_redirects": "False", "timeout": "5", "verifies": "CERT_REQUIRED"}]


@proves("FAULT-59", "TRU-2")
@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (f"attrs.evolve(token, access_token='{CANARY}')", "access_token"),
        (f"'{CANARY}'", " str "),
        (f"{{'access_token': '{CANARY}'}}", " dict "),
        ("None", "nothing"),
        (f"(_ for _ in ()).throw(ValueError('{CANARY}'))", "ValueError"),
        (f"(_ for _ in ()).throw(SystemExit('{CANARY}'))", "SystemExit"),
    ],
)
def test_hook_result_that_is_not_a_credential_is_refused_and_not_quoted(run: Run, answer: str, what: str) -> None:
    code = f"""GOOD
honest = [acquire]
@hookimpl
def acquire(profile, source, interaction):
    token = honest[0](profile, source, interaction)
    return {answer}
"""
    (bad, good, again, still_good), log = run(code, BOTH)
    assert bad.startswith("PluginBroken [plugin-hook-failed] bad: ")
    assert "acquire" in bad
    assert what in bad
    assert again.startswith("PluginBroken [plugin-hook-failed] bad: ")
    assert good == still_good == "at-of-good"
    assert CANARY not in bad + again + log
