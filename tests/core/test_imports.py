"""What is loaded when: a keeper costs little to make, and a held credential costs no import at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import freshkey


SUPPORT = Path(__file__).parents[1] / "support"
HEAVY = ("httpx", "keyring", "cattrs", "tenacity", "rich", "importlib.metadata", "cryptography", "filelock", "asyncio")


def modules_after(program: str, *arguments: str) -> set[str]:
    """Run a program in a process of its own and return the names of the modules it then has."""
    ending = "\nimport json as _json, sys as _sys\nprint(_json.dumps(sorted(_sys.modules)))"
    return set(json.loads(output_of(program + ending, *arguments).splitlines()[-1]))


def output_of(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_sentinel_sees_what_is_loaded() -> None:
    assert {"tenacity", "httpx", "importlib.metadata"} <= modules_after(
        "import tenacity, httpx, importlib.metadata", "unused"
    )


@pytest.mark.parametrize("name", HEAVY)
def test_nothing_heavy_is_installed_under_another_name(name: str) -> None:
    assert __import__(name) is not None


def test_making_a_keeper_loads_nothing_heavy() -> None:
    loaded = modules_after("import freshkey; freshkey.Keeper()")
    assert "freshkey.keeper" in loaded
    assert loaded & set(HEAVY) == set()


def test_importing_freshkey_loads_none_of_its_modules() -> None:
    assert {name for name in modules_after("import freshkey") if name.startswith("freshkey.")} == set()


def test_making_a_keeper_imports_no_plugin() -> None:  # TRU-1
    loaded = modules_after("import freshkey; freshkey.Keeper().close()")
    assert {name for name in loaded if name.startswith("freshkey_")} == set()


@pytest.mark.parametrize("name", freshkey.__all__)
def test_every_public_name_is_there_and_is_kept_once_loaded(name: str) -> None:
    value = getattr(freshkey, name)
    assert vars(freshkey)[name] is value


def test_a_name_that_is_not_public_is_missing() -> None:
    with pytest.raises(AttributeError, match=r"module 'freshkey' has no attribute 'keeper_'"):
        freshkey.keeper_  # noqa: B018


def test_the_public_names_that_types_see_are_those_that_load() -> None:
    assert set(freshkey._HOME_OF) == set(freshkey.__all__)
    assert list(freshkey.__all__) == sorted(freshkey.__all__)


HELD = """
import asyncio, sys
from pathlib import Path

sys.path.insert(0, sys.argv[2])
from attrs import evolve
from example_provider import HELPER, Provider, description, token
from freshkey import Configuration, Keeper, Detected
from freshkey.clock import SYSTEM

source = evolve(HELPER, detect=lambda profile: Detected(kind="token", origin="here"))
provider = Provider(
    on_describe=lambda: description(sources=(source,)), on_acquire=lambda: token(obtained=SYSTEM.now())
)
configuration = Configuration.of(
    {"me": {"provider": "example", "store": "memory"}}, state_dir=Path(sys.argv[1]), default="me"
)

async def repeatedly():
    before = set(sys.modules)
    for _ in range(100):
        assert await keeper.aget("me") is first
    return set(sys.modules) - before

with Keeper(providers={"example": provider}, configuration=configuration) as keeper:
    first = keeper.get("me")
    keeper.get()
    before = set(sys.modules)
    for _ in range(100):
        assert keeper.get("me") is keeper.get() is keeper.get("me", min_ttl=60) is first
    imported = set(sys.modules) - before
    print(sorted(imported | asyncio.run(repeatedly())))
"""


def test_getting_a_held_credential_imports_nothing(tmp_path: Path) -> None:
    assert output_of(HELD, str(tmp_path), str(SUPPORT)).strip() == "[]"


def test_the_provider_comes_without_an_http_client() -> None:
    loaded = modules_after(
        "import freshkey_claude_oauth as it\n"
        "described = it.describe(profile=None, credential=None)\n"
        "assert described.sources and described.formats"
    )
    assert "freshkey_claude_oauth.description" in loaded
    assert loaded & {"httpx", "keyring", "cattrs", "tenacity", "rich", "cryptography"} == set()


def test_listing_providers_on_the_command_line_imports_none(tmp_path: Path) -> None:  # TRU-1
    program = (
        "import os, sys\n"
        f"os.environ['FRESHKEY_CONFIG_DIR'] = os.environ['FRESHKEY_STATE_DIR'] = {str(tmp_path)!r}\n"
        "from freshkey_cli import run\n"
        "assert run(['providers', '--json']) == 0"
    )
    loaded = modules_after(program)
    assert "freshkey._plugins.discovery" in loaded
    assert {name for name in loaded if name.startswith("freshkey_")} == set()
    assert "claude_oauth" in output_of(program)
