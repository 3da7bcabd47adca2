"""The plan of the house, as tests: the rooms of the core and who may import whom, what plugins may know, and sizes.

Every import counts: those at the top of a module, those inside functions, and those for types alone. One thing is
apart: the public pages (`PAGES`) load each name when it is first used, so what they import for types loads nothing;
but what they name lies below them.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import statistics
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from freshkey import errors, hooks
from source_tree import CORE, ROOT, Import, Module, benchmark_modules, code_lines, imports, modules, plugin_modules


CORE_MODULES = {module.name: module for module in modules(CORE)}
PLUGIN_MODULES = {module.name: module for module in plugin_modules()}
BENCHMARKS = {module.name: module for module in benchmark_modules()}
ALL_MODULES = CORE_MODULES | PLUGIN_MODULES | BENCHMARKS

PAGES = ("freshkey", "freshkey.plugin", "freshkey.admin", "freshkey.oauth")
"""The public pages: each loads its names from their modules, one by one, when they are first used."""

LOADER = "freshkey._lazy"
"""What a page takes from the package around it, which is loaded before everything and itself loads nothing."""

LAYERS: list[tuple[str, ...]] = [
    # Values and the contract.
    ("errors", "secret", "clock", "_failpoints", "_forksafe"),
    ("expiry", "_json"),
    ("model",),
    ("hooks", "events"),
    # Tools: one subject each, no profile, no provider.
    ("_files", "_secret_input"),
    ("_interprocess", "_commands", "_http"),
    # Toolkits: for stores, for authors of providers, for HTTP clients.
    ("_stores", "oauth", "adapters"),
    ("plugin",),
    # The way to a provider.
    ("_config",),
    ("_plugins",),
    ("_sources",),
    ("_trust",),
    # Renewal, and what surrounds it.
    ("_renewal",),
    ("_accounts",),
    ("keeper",),
    # What is seen from outside.
    ("admin",),
    ("freshkey",),
    ("__main__",),
]
"""The rooms of the core from the ground up: a file or folder directly below ``freshkey``, or the page itself.

A room imports itself and the rooms of lower layers, never one beside it.
"""

VALUES = {name for layer in LAYERS[:4] for name in layer}

KNOWS: dict[str, set[str]] = {
    "errors": set(),
    "secret": set(),
    "expiry": {"clock"},
    "_stores": {*VALUES, "_interprocess", "_files"},
    "oauth": {*VALUES, "_http", "_commands"},
    "adapters": {"errors", "model"},
    "_plugins": {*VALUES, "_config"},
    "_config": {*VALUES, "_commands", "_files"},
}
"""Rooms that know less than their layer allows."""

MAX_FLAT = 14
"""How many modules lie directly in ``core/freshkey``; all others are in a package of their subject."""

FOR_PROVIDERS = {"freshkey.plugin", "freshkey.oauth", "freshkey.errors"}
FOR_TOOLS = FOR_PROVIDERS | {"freshkey", "freshkey.events", "freshkey.expiry", "freshkey.admin"}
MAY_USE = {"freshkey_cli": FOR_TOOLS, "freshkey_testing": FOR_TOOLS}
"""What of the core a plugin takes names from; a provider, and any other plugin, `FOR_PROVIDERS`."""

PRIVATE_NAMES = {
    "freshkey_testing": {
        "freshkey._plugins.discovery.load_store",
        "freshkey._plugins.hook_caller.HookCaller",
        "freshkey._plugins.wiring.wire",
        "freshkey._stores.records.codec.Codec",
    }
}
"""What a contract kit needs besides: it calls hooks, and reads records, as the core does."""

ONLY_THERE = {
    "anthropic": {"freshkey_claude_oauth.sdk"},
    "cattrs": {"freshkey._stores.records.codec", "freshkey._config.provider_settings"},
    "cryptography": {
        "freshkey._stores.encrypted_file.store",
        "freshkey._stores.encrypted_file.key",
        "freshkey_vertex.google_auth",
    },
    "filelock": {"freshkey._interprocess.lock"},
    "google": {
        f"freshkey_vertex.{name}" for name in ("fetch_token", "google_auth", "impersonation", "metadata", "sdk")
    },
    "httpx": {"freshkey._http.client", "freshkey.adapters.httpx"},
    "keyring": {"freshkey._stores.keychain.backends"},
    "platformdirs": {"freshkey._config.configuration"},
    "pluggy": {"freshkey.hooks", "freshkey._plugins.wiring"},
    "tenacity": {"freshkey._renewal.retry"},
}
"""Libraries that a few modules of one subject hide from all others, so that they can be replaced there."""

ONLY_THAT_PLUGIN = {
    "botocore": "freshkey_bedrock",
    "pytest": "freshkey_testing",
    "rich": "freshkey_cli",
}
"""Libraries that one plugin alone may import."""

VENDOR_SESSIONS = {"botocore_session", "google_credentials"}
"""Functions beside the hooks: they import a vendor's SDK when they are called, and give it credentials."""

PROVIDERS = re.compile(r"claude|anthropic|bedrock|vertex|\baws\b|amazon|botocore|google.auth", re.IGNORECASE)

MODULE_LIMIT = 300
FUNCTION_LIMIT = 40


def plugin_of(name: str) -> str:
    """Return the package that a module belongs to: ``freshkey``, or that of a plugin."""
    return name.partition(".")[0]


def room(name: str) -> str:
    """Return the room of a module of the core: its file or folder directly below ``freshkey``."""
    return f"{name}.{name}".split(".")[1]


def home_of(page: str, name: str) -> str | None:
    """Return the module from which a public page loads a name."""
    homes: dict[str, str] = importlib.import_module(page)._HOMES
    return next((f"freshkey.{home}" for home, names in homes.items() if name in names.split()), None)


def resolve(target: str) -> str:
    """Return the module that an import loads; nothing where it is none of ours.

    ``freshkey.model.credential.Credential`` is in ``freshkey.model.credential``, and so is ``freshkey.Credential``.
    """
    page, _, name = target.rpartition(".")
    if page in PAGES and (home := home_of(page, name)):
        return home
    while target and target not in ALL_MODULES:
        target = target.rpartition(".")[0]
    return target


def named_in(each: Import) -> str:
    """Return the module that an import statement names: ``freshkey.plugin`` for ``from freshkey import plugin``."""
    named = each.target
    while named and named not in ALL_MODULES:
        named = named.rpartition(".")[0]
    return named


def reached(module: Module, *, loading: bool = False) -> Iterator[tuple[str, int]]:
    """Yield each module of this project that a module imports, and the line.

    Args:
        module: The one that imports.
        loading: Leave out what a public page imports for types: it loads nothing.
    """
    for each in imports(module.tree):
        if each.target == LOADER or (loading and each.for_types_only and module.name in PAGES):
            continue
        if target := resolve(each.target):
            yield target, each.line


def where(module: Module, line: int) -> str:
    """Return a place in a file, as an editor takes it."""
    return f"{module.path.relative_to(ROOT)}:{line}"


def of_plugin(package: str) -> Iterable[Module]:
    """Return the modules of one plugin."""
    return (module for module in PLUGIN_MODULES.values() if plugin_of(module.name) == package)


PACKAGES = sorted({plugin_of(name) for name in PLUGIN_MODULES})
PROVIDER_PACKAGES = [name for name in PACKAGES if f"{name}.sources" in PLUGIN_MODULES]


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
        ("freshkey.plugin.Send", "freshkey._http.messages"),
        ("freshkey.oauth.discover", "freshkey.oauth.metadata"),
        ("freshkey.Keeper", "freshkey.keeper"),
        ("freshkey.__version__", "freshkey"),
        ("os.path", ""),
    ],
)
def test_an_import_reaches_a_module(target: str, module: str) -> None:
    assert resolve(target) == module


def test_every_module_was_read() -> None:
    assert {"freshkey.keeper", "freshkey._plugins.hook_caller", "freshkey._stores.keychain.store"} <= set(CORE_MODULES)
    assert {"freshkey_cli", "freshkey_claude_oauth", "freshkey_testing.demo"} <= set(PLUGIN_MODULES)
    assert "benchmarks.endurance.soak" in BENCHMARKS


# --- the rooms of the core -------------------------------------------------------------------------------------------


def test_every_room_has_its_layer() -> None:
    placed = [name for layer in LAYERS for name in layer]
    assert sorted(placed) == sorted(set(placed))
    assert {room(name) for name in CORE_MODULES} == set(placed)


def test_every_import_goes_to_the_same_room_or_down() -> None:
    height = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    wrong = [
        f"{where(module, line)}: {target}"
        for module in CORE_MODULES.values()
        for target, line in reached(module)
        if target in CORE_MODULES
        and room(target) != room(module.name)
        and height[room(target)] >= height[room(module.name)]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", KNOWS)
def test_what_these_rooms_know_of_the_house(name: str) -> None:
    known = {
        room(target) for module in CORE_MODULES.values() if room(module.name) == name for target, _ in reached(module)
    }
    assert known - {name} <= KNOWS[name]


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module.name: {target for target, _ in reached(module, loading=True)} - {module.name}
        for module in ALL_MODULES.values()
    }
    while leaves := {name for name, targets in graph.items() if not targets & set(graph)}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    # What only leads to a circle is not part of it.
    while roots := set(graph) - {target for targets in graph.values() for target in targets}:
        graph = {name: targets for name, targets in graph.items() if name not in roots}
    assert {name: sorted(targets & set(graph)) for name, targets in graph.items()} == {}


def test_few_modules_lie_flat_in_the_core() -> None:
    flat = [module.path.name for module in CORE_MODULES.values() if module.path.parent == CORE / "freshkey"]
    assert len(flat) <= MAX_FLAT, sorted(flat)


def test_a_public_page_loads_nothing_by_itself() -> None:
    loaded = [
        f"{where(CORE_MODULES[page], each.line)}: {each.target}"
        for page in PAGES
        for each in imports(CORE_MODULES[page].tree)
        if not each.for_types_only and each.target != LOADER and resolve(each.target)
    ]
    assert loaded == []


def test_expiry_is_pure() -> None:
    loaded = {each.target.split(".")[0] for each in imports(CORE_MODULES["freshkey.expiry"].tree)}
    assert loaded == {"__future__", "enum", "math", "typing", "freshkey"}


def test_the_hook_caller_alone_calls_hooks() -> None:
    callers = {
        module.name
        for module in ALL_MODULES.values()
        for node in ast.walk(module.tree)
        # An event has a field of that name.
        if isinstance(node, ast.Attribute) and node.attr == "hook" and ast.unparse(node.value) != "event"
    }
    assert callers == {"freshkey._plugins.hook_caller"}


def test_nothing_hands_work_to_an_executor() -> None:
    """Executors refuse or abandon work while the interpreter exits, when a refresh token may just have been spent."""
    banned = re.compile(r"\b(concurrent\.futures|ThreadPoolExecutor|run_in_executor|to_thread)\b")
    users = [
        str(module.path)
        for module in (CORE_MODULES | PLUGIN_MODULES).values()
        if plugin_of(module.name) != "freshkey_testing" and banned.search(ast.unparse(module.tree))
    ]
    assert users == []


# --- libraries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ONLY_THERE)
def test_a_library_is_imported_in_its_room_only(library: str) -> None:
    loading = {
        module.name
        for module in ALL_MODULES.values()
        for each in imports(module.tree)
        if not each.for_types_only and each.target.split(".")[0] == library
    }
    assert loading == ONLY_THERE[library]


@pytest.mark.parametrize("library", ONLY_THAT_PLUGIN)
def test_a_library_is_imported_by_its_plugin_only(library: str) -> None:
    users = {
        plugin_of(module.name)
        for module in ALL_MODULES.values()
        for each in imports(module.tree)
        if each.target.split(".")[0] == library
    }
    assert users == {ONLY_THAT_PLUGIN[library]}


@pytest.mark.parametrize("package", PROVIDER_PACKAGES)
def test_describing_a_provider_loads_no_vendor_s_library(package: str) -> None:
    """Listing providers, or making a keeper, must not cost what a vendor's library costs."""
    program = f"import {package} as it, sys; it.describe(profile=None, credential=None); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert f"{package}.settings" in loaded
    # An empty package of that name may come with an editable install.
    heavy = {*ONLY_THERE, *ONLY_THAT_PLUGIN, "boto3", "google.auth"} - {"pluggy", "google"}
    assert loaded & heavy == set()


# --- core and plugins ------------------------------------------------------------------------------------------------


def test_the_core_imports_no_plugin() -> None:
    wrong = [
        f"{where(module, each.line)}: {each.target}"
        for module in CORE_MODULES.values()
        for each in imports(module.tree)
        if each.target.split(".")[0] in {*PACKAGES, "benchmarks"}
    ]
    assert wrong == []


def test_the_core_names_no_provider() -> None:
    naming = [
        where(module, number)
        for module in CORE_MODULES.values()
        for number, line in enumerate(module.text.splitlines(), 1)
        if PROVIDERS.search(line)
    ]
    assert naming == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_plugin_imports_what_is_made_for_it_only(package: str) -> None:
    allowed = MAY_USE.get(package, FOR_PROVIDERS)
    wrong = [
        f"{where(module, each.line)}: {each.target}"
        for module in of_plugin(package)
        for each in imports(module.tree)
        if plugin_of(each.target) == "freshkey"
        and named_in(each) not in allowed
        and each.target not in PRIVATE_NAMES.get(package, set())
    ]
    assert wrong == []


def test_the_private_names_that_are_lent_are_in_use() -> None:
    for package, lent in PRIVATE_NAMES.items():
        used = {each.target for module in of_plugin(package) for each in imports(module.tree)}
        assert lent <= used


def test_plugins_do_not_import_each_other() -> None:
    wrong = [
        f"{where(module, each.line)}: {each.target}"
        for module in PLUGIN_MODULES.values()
        for each in imports(module.tree)
        if plugin_of(each.target) in {*PACKAGES, "benchmarks"} - {plugin_of(module.name)}
    ]
    assert wrong == []


@pytest.mark.parametrize("package", PROVIDER_PACKAGES)
def test_the_settings_of_a_provider_know_none_of_its_sources(package: str) -> None:
    """Settings stand below the sources that read them, also by way of other modules."""
    shared = {f"{package}.{name}" for name in ("settings", "formats", "errors")}
    sources = {f"{package}.sources", *within(package, f"{package}.sources")} - shared
    subjects = {name.split(".")[1] for name in sources}
    known, unread = set[str](), {f"{package}.settings"}
    while unread := {target for name in unread for target in within(package, name)} - known:
        known |= unread
    assert {name for name in known if name.split(".")[1] in subjects} == set()


def within(package: str, name: str) -> set[str]:
    """Return the modules of a plugin that one of its modules imports."""
    targets = {target for target, _ in reached(PLUGIN_MODULES[name])}
    return {target for target in targets if target.startswith(f"{package}.") and target != name}


@pytest.mark.parametrize("package", PROVIDER_PACKAGES)
def test_a_provider_s_own_module_holds_hooks_only(package: str) -> None:
    body = PLUGIN_MODULES[package].tree.body
    marked = [node for node in body if isinstance(node, ast.FunctionDef) and node.name not in VENDOR_SESSIONS]
    assert {node.name for node in marked} <= {"describe", "acquire", "refresh", "store"}
    assert all(ast.unparse(node.decorator_list[0]) == "hookimpl" for node in marked)


SENTINEL = """
import json, sys
from freshkey_cli import run
code = run(["providers", "--json"])
plugins = [name for name in sys.modules if name.startswith(("freshkey_", "fixture_"))]
print(json.dumps([code, [name for name in plugins if name.partition(".")[0] != "freshkey_cli"]]))
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


def test_every_module_says_what_it_is_for() -> None:
    silent = []
    for module in ALL_MODULES.values():
        summary = (ast.get_docstring(module.tree) or "").split("\n\n")[0]
        annotated = len(module.tree.body) < 2 or (
            ast.unparse(module.tree.body[1]) == "from __future__ import annotations"
        )
        if not summary.endswith((".", "::", ":")) or not annotated:
            silent.append(str(module.path.relative_to(ROOT)))
    assert silent == [], "each begins with a docstring of one sentence, then from __future__ import annotations"


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
