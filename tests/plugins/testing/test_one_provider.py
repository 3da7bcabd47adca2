"""A provider as its author writes it passes the contract, without a socket; each single mistake in it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import one_provider
from broken_providers import BROKEN
from freshkey import Profile
from freshkey_testing import Lender, ProviderContract, ScriptedExchanges, ScriptedUser
from one_world import script, sign_in_to_the_tool


class TestOne(ProviderContract):
    @pytest.fixture(autouse=True)
    def no_socket(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("bind", "connect"):
            monkeypatch.setattr(f"socket.socket.{name}", None)

    @pytest.fixture
    def provider(self) -> object:
        return one_provider

    @pytest.fixture
    def profile(
        self,
        provider: object,
        freshkey_profile: Callable[..., Profile],
        freshkey_http: ScriptedExchanges,
        monkeypatch: pytest.MonkeyPatch,
        tool: Lender,
    ) -> Profile:
        monkeypatch.setenv("ONE_KEY", "one-key-0123456789abcdef")
        monkeypatch.setenv("ONE_ROLE", "reader")
        script(freshkey_http)
        return freshkey_profile(provider)

    @pytest.fixture
    def tool(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lender:
        return sign_in_to_the_tool(tmp_path, monkeypatch)

    @pytest.fixture
    def lenders(self, tool: Lender) -> Mapping[str, Lender]:
        return {"tool": tool}

    @pytest.fixture
    def users(self) -> Mapping[str, ScriptedUser]:
        return {"sign-in": ScriptedUser(paste="a-pasted-code-1")}


# --- forty mistakes --------------------------------------------------------------------------------------------------

CLASS = """
class Test{number}(ProviderContract):
    deadline = {deadline}

    @pytest.fixture
    def provider(self):
        import broken_{number}
        return broken_{number}

    @pytest.fixture
    def tool(self, tmp_path, monkeypatch):
        return sign_in_to_the_tool(tmp_path, monkeypatch)

    @pytest.fixture
    def lenders(self, tool):
        return {{"tool": tool}}

    @pytest.fixture
    def profile(self, provider, freshkey_profile, freshkey_http, monkeypatch, tool):
        monkeypatch.setenv("ONE_KEY", "one-key-0123456789abcdef")
        monkeypatch.setenv("ONE_ROLE", "reader")
        script(freshkey_http)
        return freshkey_profile(provider)

    @pytest.fixture
    def users(self):
        return {{"sign-in": ScriptedUser(paste="a-pasted-code-1")}}
"""
HEAD = """
import pytest
from freshkey_testing import ProviderContract, ScriptedUser
from one_world import script, sign_in_to_the_tool
"""


def broken_source(old: str, new: str) -> str:
    source = Path(one_provider.__file__).read_text("utf-8")
    assert old in source, f"the provider has no {old!r}"
    imports = "from freshkey.errors import OutcomeUnknown\nfrom datetime import datetime\n"
    return source.replace(old, new).replace("import os\n", f"import os\n{imports}", 1)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the kit says about each broken provider, from one run of the tests that must notice it."""
    folder = tmp_path_factory.mktemp("broken")
    code, wanted = [HEAD], []
    for number, (old, new, test, _) in enumerate(BROKEN.values()):
        (folder / f"broken_{number}.py").write_text(broken_source(old, new), "utf-8")
        code.append(CLASS.format(number=number, deadline=1.0 if "wait" in new else 20.0))
        wanted.append(f"test_broken.py::Test{number}::{test}")
    (folder / "test_broken.py").write_text("\n".join(code), "utf-8")
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "-q", "--junitxml=said.xml", "--rootdir=.", "-c", os.devnull]
    support = os.pathsep.join([str(folder), str(Path(one_provider.__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *wanted],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": support, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (folder / "said.xml").is_file(), done.stdout + done.stderr
    said: dict[str, str] = {}
    for case in ET.parse(folder / "said.xml").iter("testcase"):  # noqa: S314  written above
        texts = [f"{each.get('message')}\n{each.text}" for kind in ("failure", "error") for each in case.iter(kind)]
        name = list(BROKEN)[int((case.get("classname") or "").rpartition(".Test")[2])]
        said[name] = "\n".join([said.get(name, ""), *texts])
    return said


def test_there_are_forty() -> None:
    assert len(BROKEN) >= 40


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_named(name: str, sentences: dict[str, str]) -> None:
    assert BROKEN[name][3] in sentences[name]
