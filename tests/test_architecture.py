"""The shape of the house: who may import whom, what is loaded by name only, and that the contract is documented.

Imports inside functions count like those at the top of a module. Imports under ``TYPE_CHECKING`` do not: they name a
type, load nothing, and let a lower room say what a higher one hands it.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import freshkey
from freshkey import errors, hooks
from source_tree import CORE, ROOT, Module, code_lines, imports, modules, plugin_modules


CORE_MODULES = {module.name: module for module in modules(CORE)}
PLUGIN_MODULES = {module.name: module for module in plugin_modules()}
ALL_MODULES = CORE_MODULES | PLUGIN_MODULES

LAYERS: list[tuple[str, ...]] = [
    # Values and the contract.
    ("errors", "secret", "clock", "_failpoints", "_forksafe"),
    ("expiry", "_json", "_suggestion"),
    ("model",),
    ("hooks", "events"),
    # Tools: one subject each, no profile, no provider.
    ("_files", "_secret_input"),
    ("_interprocess", "_commands", "_http"),
    # Toolkits for stores and for authors of providers.
    ("oauth", "_stores"),
    ("_config",),
    # The way to a provider.
    ("_plugins",),
    ("_sources",),
    ("_trust",),
    # Renewal, and what surrounds it.
    ("_renewal",),
    ("_accounts",),
    ("adapters",),
    ("keeper",),
    # What stands around the keeper.
    ("testing",),
    ("cli",),
    ("__main__",),
]
"""Rooms of the core from the ground up; each imports itself and those of the layers below, also for types alone."""

VALUES = {name for layer in LAYERS[:4] for name in layer}

ONLY_THERE = {
    "anthropic": {"freshkey_claude_oauth.sdk"},
    "google": {f"freshkey_vertex.{name}" for name in ("fetching", "loading", "metadata", "sdk")},
    "httpx": {"freshkey._http.client", "freshkey.adapters.httpx"},
    "keyring": {"freshkey._stores.keychain.backends"},
    "cryptography": {
        "freshkey._stores.encrypted_file.store",
        "freshkey._stores.encrypted_file.key",
        "freshkey_vertex.loading",
    },
    "filelock": {"freshkey._interprocess.lock"},
    "cattrs": {"freshkey._stores.records.codec", "freshkey._config.provider_settings"},
    "tenacity": {"freshkey._renewal.retry"},
    "pluggy": {"freshkey.hooks", "freshkey._plugins.wiring"},
    "platformdirs": {"freshkey._config.configuration"},
}
"""Libraries that one room hides from all others, so that it can be replaced there."""

FOR_PLUGINS = {"hooks", "model", "errors", "oauth", "secret", "clock", "_http", "_commands", "_secret_input"}
FOR_PLUGINS |= {"testing", "_json", "_files", "_interprocess"}
"""What of the core a plugin may import."""

BRIDGES = {"botocore_session"}
"""Functions beside the hooks: they import a vendor's SDK when they are called, and give it credentials."""

PROVIDERS = re.compile(r"claude|anthropic|bedrock|vertex|\baws\b|botocore|google.auth", re.IGNORECASE)

MODULE_LIMIT = 300
FUNCTION_LIMIT = 40


def room(name: str) -> str:
    """Return the room that a module of the core belongs to: its file or folder directly under ``freshkey``."""
    return name.split(".")[1] if "." in name else ""


def resolve(target: str) -> str:
    """Return the module that an import reaches: ``freshkey.model.credential.Credential`` is in ``freshkey.model``."""
    package, _, name = target.rpartition(".")
    if package == "freshkey" and name in freshkey._HOME_OF:
        return f"freshkey.{freshkey._HOME_OF[name]}"
    while target and target not in ALL_MODULES:
        target = target.rpartition(".")[0]
    return target


def reached(module: Module) -> Iterator[tuple[str, int]]:
    """Yield each module of this project that a module loads, and the line."""
    for imported in imports(module.tree):
        if target := resolve(imported.target):
            yield target, imported.line


# --- the reader of imports itself ------------------------------------------------------------------------------------


def test_imports_in_functions_are_seen_and_those_for_types_are_told_apart() -> None:
    tree = ast.parse(
        textwrap.dedent("""
        from typing import TYPE_CHECKING
        import os.path
        if TYPE_CHECKING:
            from freshkey.keeper import Keeper
        def work():
            from freshkey._http import client
        class Room:
            async def act(self):
                import httpx
        """)
    )
    seen = {(each.target, each.for_types_only) for each in imports(tree)}
    assert seen == {
        ("typing.TYPE_CHECKING", False),
        ("os.path", False),
        ("freshkey.keeper.Keeper", True),
        ("freshkey._http.client", False),
        ("httpx", False),
    }


@pytest.mark.parametrize(
    ("target", "module"),
    [
        ("freshkey.model.credential.Credential", "freshkey.model.credential"),
        ("freshkey._interprocess.lock", "freshkey._interprocess.lock"),
        ("freshkey.hookimpl", "freshkey.hooks"),
        ("freshkey.Keeper", "freshkey.keeper"),
        ("os.path", ""),
    ],
)
def test_an_import_reaches_a_module(target: str, module: str) -> None:
    assert resolve(target) == module


def test_every_module_was_read() -> None:
    assert {
        "freshkey.keeper",
        "freshkey._plugins.hook_caller",
        "freshkey_testing.demo",
        "freshkey._stores.keychain.store",
    } <= set(CORE_MODULES)
    assert "freshkey_claude_oauth" in PLUGIN_MODULES


# --- who may import whom ---------------------------------------------------------------------------------------------


def test_every_room_has_its_layer() -> None:
    placed = [name for layer in LAYERS for name in layer]
    assert sorted(placed) == sorted(set(placed))
    assert {room(name) for name in CORE_MODULES if room(name)} == set(placed)


def test_no_room_imports_one_above_it() -> None:
    height = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    wrong = [
        f"{module.path}:{line}: {target}"
        for module in CORE_MODULES.values()
        for target, line in reached(module)
        if room(module.name)
        and (height[room(target)], room(target)) >= (height[room(module.name)], "")
        and room(target) != room(module.name)
    ]
    assert wrong == []


def test_the_public_names_are_loaded_by_name_alone() -> None:
    assert [
        each for each in imports(CORE_MODULES["freshkey"].tree) if not each.for_types_only and "freshkey" in each.target
    ] == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module.name: {target for target, _ in reached(module)} - {module.name} for module in ALL_MODULES.values()}
    del graph["freshkey"]  # it loads nothing by itself; what it names for type checkers is all below
    # A package's own module may load what lies in it; that it is loaded first is how Python works.
    graph = {name: {to for to in targets if not name.startswith(f"{to}.")} for name, targets in graph.items()}
    while leaves := {name for name, targets in graph.items() if not targets}:
        graph = {name: targets - leaves for name, targets in graph.items() if name not in leaves}
    assert graph == {}


@pytest.mark.parametrize(
    ("below", "allowed"),
    [
        ("_stores", {*VALUES, "_stores", "_interprocess", "_files"}),
        ("oauth", {*VALUES, "oauth", "_http", "_commands"}),
        ("_plugins", {*VALUES, "_plugins"}),
        ("_config", {*VALUES, "_config", "_commands", "_files"}),
        ("expiry", {"clock"}),
        ("errors", set[str]()),
        ("secret", set[str]()),
    ],
)
def test_what_these_rooms_know_of_the_house(below: str, allowed: set[str]) -> None:
    known = {
        room(target) for module in CORE_MODULES.values() if room(module.name) == below for target, _ in reached(module)
    }
    assert known <= allowed


def test_expiry_is_pure() -> None:
    loaded = {each.target.split(".")[0] for each in imports(CORE_MODULES["freshkey.expiry"].tree)}
    assert loaded == {"__future__", "enum", "math", "typing", "freshkey"}


@pytest.mark.parametrize("library", ONLY_THERE)
def test_a_library_is_imported_in_its_room_only(library: str) -> None:
    users = {
        module.name
        for module in ALL_MODULES.values()
        for each in imports(module.tree)
        if not each.for_types_only and each.target.split(".")[0] == library
    }
    assert users == ONLY_THERE[library]


def test_rich_is_for_the_command_line_and_pytest_for_the_kits() -> None:
    for library, home in (("rich", "cli"), ("pytest", "testing")):
        users = {
            room(module.name)
            for module in ALL_MODULES.values()
            for each in imports(module.tree)
            if each.target.split(".")[0] == library
        }
        assert users == {home}


def test_nothing_hands_work_to_an_executor() -> None:
    """Executors refuse or abandon work while the interpreter exits, when a refresh token may just have been spent."""
    banned = re.compile(r"\b(concurrent\.futures|ThreadPoolExecutor|run_in_executor|to_thread)\b")
    users = [
        str(module.path)
        for module in ALL_MODULES.values()
        if room(module.name) != "testing" and banned.search(ast.unparse(module.tree))
    ]
    assert users == []


def test_the_lifecycle_alone_calls_hooks() -> None:
    callers = {
        module.name
        for module in ALL_MODULES.values()
        for node in ast.walk(module.tree)
        # An event has a field of that name.
        if isinstance(node, ast.Attribute) and node.attr == "hook" and ast.unparse(node.value) != "event"
    }
    assert callers == {"freshkey._plugins.hook_caller"}


# --- core and plugins ------------------------------------------------------------------------------------------------


def test_the_core_imports_no_plugin() -> None:
    packages = {name.split(".")[0] for name in PLUGIN_MODULES}
    assert packages
    for module in CORE_MODULES.values():
        assert {each.target.split(".")[0] for each in imports(module.tree)} & packages == set(), module.name


def test_the_core_names_no_provider() -> None:
    """The demo needs one to show, and the server of the testing kit plays a real one; nothing else knows any."""
    naming = {
        module.name
        for module in CORE_MODULES.values()
        if PROVIDERS.search(module.text)
        and not module.name.startswith("freshkey_testing.demo")
        and not module.name.startswith("freshkey_testing.")
    }
    assert naming == set()


def test_a_plugin_imports_what_is_made_for_plugins_only() -> None:
    wrong = [
        f"{module.path}:{each.line}: {each.target}"
        for module in PLUGIN_MODULES.values()
        for each in imports(module.tree)
        if each.target.split(".")[0] == "freshkey" and room(resolve(each.target)) not in FOR_PLUGINS
    ]
    assert wrong == []


def test_plugins_do_not_import_each_other() -> None:
    packages = {name.split(".")[0] for name in PLUGIN_MODULES}
    wrong = [
        f"{module.path}:{each.line}: {each.target}"
        for module in PLUGIN_MODULES.values()
        for each in imports(module.tree)
        if each.target.split(".")[0] in packages - {module.name.split(".")[0]}
    ]
    assert wrong == []


def test_a_plugin_s_own_module_holds_hooks_only() -> None:
    for name, module in PLUGIN_MODULES.items():
        if "." not in name:
            functions = [node for node in module.tree.body if isinstance(node, ast.FunctionDef)]
            hooks = [node for node in functions if node.name not in BRIDGES]
            assert {node.name for node in hooks} <= {"describe", "acquire", "refresh", "store"}
            assert all(ast.unparse(node.decorator_list[0]) == "hookimpl" for node in hooks)


SENTINEL = """
import json, sys
from freshkey_cli import run
code = run(["providers", "--json"])
print(json.dumps([code, [name for name in sys.modules if name.startswith(("freshkey_", "fixture_"))]]))
"""


def test_listing_providers_imports_none(tmp_path: Path) -> None:  # TRU-1
    info = tmp_path / "acme_freshkey-3.4.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-freshkey\nVersion: 3.4\n")
    (info / "entry_points.txt").write_text("[freshkey.providers]\nacme = fixture_acme\n")
    (tmp_path / "fixture_acme.py").write_text("raise SystemExit('imported')")
    done = subprocess.run(
        [sys.executable, "-c", SENTINEL],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            "PATH": "",
            "PYTHONPATH": str(tmp_path),
            "FRESHKEY_CONFIG_DIR": str(tmp_path),
            "FRESHKEY_STATE_DIR": str(tmp_path),
        },
    )
    *listed, last = done.stdout.strip().splitlines()
    assert json.loads(last) == [0, []]
    names = {provider["name"]: provider for provider in json.loads("".join(listed))["providers"]}
    assert {"acme", "claude_oauth"} <= set(names)
    assert "acme-freshkey" in names["acme"].values()


# --- what is written down --------------------------------------------------------------------------------------------

HOOKS = [
    function for _, function in inspect.getmembers(hooks, inspect.isfunction) if function.__module__ == hooks.__name__
]


def sections(text: str) -> dict[str, str]:
    """Return the sections of a docstring by title."""
    parts = re.split(r"^(Args|Returns|Raises):\n", inspect.cleandoc(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_each_hook_and_each_of_its_arguments_is_documented(hook: object) -> None:
    described = sections(inspect.getdoc(hook) or "")
    documented = re.findall(r"^    (\w+): \S", described["Args"], re.MULTILINE)
    signature = inspect.signature(hook)  # type: ignore[arg-type]
    assert documented == list(signature.parameters)
    assert described["Returns"].strip()
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())


@pytest.mark.parametrize("hook", [hooks.acquire, hooks.refresh], ids=lambda hook: str(hook.__name__))
def test_each_hook_that_does_something_says_what_each_error_means(hook: object) -> None:
    raised = re.findall(r"^    (\w+): \S", sections(inspect.getdoc(hook) or "")["Raises"], re.MULTILINE)
    assert raised == ["TransientError", "OutcomeUnknown", "LoginRequired", "ProviderRefused"]
    for name in raised:
        assert issubclass(getattr(errors, name), errors.FreshkeyError)
        assert f"- `{name}`: " in (hooks.__doc__ or "")


@pytest.mark.parametrize("name", ALL_MODULES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    module = ALL_MODULES[name]
    summary = (ast.get_docstring(module.tree) or "").split("\n\n")[0]
    assert summary.endswith((".", "::", ":")), f"{module.path} needs a docstring of one sentence"
    if len(module.tree.body) > 1:
        assert ast.unparse(module.tree.body[1]) == "from __future__ import annotations"


def test_the_source_speaks_of_nothing_outside_the_project() -> None:
    private = re.compile(r"/work/|\bissue \d|\bsession \d|design\.md|requirements\.md", re.IGNORECASE)
    assert [str(module.path) for module in ALL_MODULES.values() if private.search(module.text)] == []


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_no_module_outgrows_its_room() -> None:
    """A module that is longer than this does more than one job: a room is missing."""
    sizes = {name: len(code_lines(module)) for name, module in ALL_MODULES.items()}
    assert {name: size for name, size in sizes.items() if size > MODULE_LIMIT} == {}
    assert statistics.median(sizes.values()) < 100


def test_no_function_is_longer_than_a_screen() -> None:
    """What does not fit on one screen cannot be checked at a glance; steps of it have names to be found."""
    long = []
    for module in ALL_MODULES.values():
        lines = code_lines(module)
        for function in module.functions:
            length = len(lines & set(range(function.lineno, (function.end_lineno or 0) + 1)))
            if length > FUNCTION_LIMIT:
                long.append(f"{module.path.relative_to(ROOT)}: {function.name}: {length}")
    assert long == []
