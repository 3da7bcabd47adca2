"""What is imported when: creating a keeper is cheap, and getting a held credential imports nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from python_program import SUPPORT, modules_after, output_of


HEAVY = (
    *("httpx", "keyring", "cattrs", "tenacity", "rich", "importlib.metadata", "cryptography", "joserfc", "filelock"),
    "asyncio",
)


def test_modules_after_sees_imports() -> None:
    assert {"tenacity", "httpx", "importlib.metadata"} <= modules_after(
        "import tenacity, httpx, importlib.metadata", "unused"
    )


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_modules_exist(name: str) -> None:
    assert __import__(name) is not None


def test_creating_a_keeper_imports_nothing_heavy() -> None:
    loaded = modules_after("import freshkey; freshkey.Keeper()")
    assert "freshkey.keeper" in loaded
    assert loaded & set(HEAVY) == set()


def test_importing_freshkey_imports_none_of_its_modules() -> None:
    assert {name for name in modules_after("import freshkey") if name.startswith("freshkey.")} == set()


def test_creating_a_keeper_imports_no_plugin() -> None:  # TRU-1
    loaded = modules_after("import freshkey; freshkey.Keeper().close()")
    assert {name for name in loaded if name.startswith("freshkey_")} == set()


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


def test_describing_a_provider_imports_no_http_client() -> None:
    loaded = modules_after(
        "import freshkey_claude_oauth as it\n"
        "described = it.describe(profile=None, credential=None)\n"
        "assert described.sources and described.formats"
    )
    assert "freshkey_claude_oauth.description" in loaded
    assert loaded & {"httpx", "keyring", "cattrs", "tenacity", "rich", "cryptography"} == set()


def test_names_of_the_oauth_toolkit_import_no_library_for_signatures() -> None:
    """It is imported where a signature is made or verified."""
    loaded = modules_after("from freshkey.oauth import *\nfrom freshkey.plugin import *")
    assert {"freshkey.oauth.id_token_signature", "freshkey._secret_input.handed_in"} <= loaded
    assert loaded & {"joserfc", "cryptography", "httpx", "keyring"} == set()


def test_describing_any_issuer_imports_neither_an_http_client_nor_a_library_for_signatures() -> None:
    loaded = modules_after(
        "import freshkey_oidc as it\n"
        "described = it.describe(profile=None, credential=None)\n"
        "assert described.sources and described.formats"
    )
    assert "freshkey_oidc.description" in loaded
    assert loaded & {"joserfc", "httpx", "keyring", "cattrs", "tenacity", "rich", "cryptography"} == set()


def test_listing_providers_on_the_command_line_imports_none(tmp_path: Path) -> None:  # TRU-1
    program = (
        "import os, sys\n"
        f"os.environ['FRESHKEY_CONFIG_DIR'] = os.environ['FRESHKEY_STATE_DIR'] = {str(tmp_path)!r}\n"
        "from freshkey_cli import run\n"
        "assert run(['providers', '--json']) == 0"
    )
    loaded = modules_after(program)
    assert "freshkey._plugins.discovery" in loaded
    assert {name.partition(".")[0] for name in loaded if name.startswith("freshkey_")} == {"freshkey_cli"}
    assert "claude_oauth" in output_of(program)
