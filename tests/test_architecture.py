"""The architecture as tests: the packages of the core and their imports, what plugins may import, and sizes.

Every import counts: at the top of a module, inside functions, and only for types. There is one exception: the public
pages (`PAGES`) load each name when it is first used, so what they import for types loads nothing, but it must still be
in a lower layer.
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
"""The public pages: each loads its names from their modules, one by one, on first use."""

LOADER = "freshkey._lazy"
"""Used by the pages to load names; it is loaded before everything else and loads nothing itself."""

LAYERS: list[tuple[str, ...]] = [
    # Values and the contract.
    ("errors", "secret", "clock", "_failpoints", "_forksafe"),
    ("expiry", "_json", "_text"),
    ("model",),
    ("hooks", "events"),
    # Tools: one subject each, without profiles and providers.
    ("_files",),
    ("_secret_input",),
    ("_interprocess", "_commands", "_http"),
    # Toolkits: for stores, for provider authors, for HTTP clients.
    ("_stores", "oauth", "adapters"),
    ("plugin",),
    # Configuration and providers.
    ("_config",),
    ("_plugins",),
    ("_sources",),
    ("_trust",),
    # Renewal, accounts and the keeper.
    ("_renewal",),
    ("_accounts",),
    ("keeper",),
    # Public entry points.
    ("admin",),
    ("freshkey",),
    ("__main__",),
]
"""The layers of the core from bottom to top: files and folders directly below ``freshkey``, and the page itself.

Each of these packages may import itself and those of lower layers, but not others in the same layer.
"""

VALUES = {name for layer in LAYERS[:4] for name in layer}

KNOWS: dict[str, set[str]] = {
    "errors": set(),
    "secret": set(),
    "expiry": {"clock"},
    "_stores": {*VALUES, "_interprocess", "_files"},
    "oauth": {*VALUES, "_http", "_commands"},
    "adapters": {"errors", "model"},
    "_text": {"secret"},
    "_plugins": {*VALUES, "_config", "_commands"},
    "_config": {*VALUES, "_commands", "_files"},
}
"""Packages that may import less than their layer allows."""

MAX_FLAT = 14
"""Maximum number of modules directly in ``core/freshkey``; all others are in a package of their subject.

See docs/decisions.md, "One package per subject, private if it begins with an underscore".
"""

FOR_PROVIDERS = {"freshkey.plugin", "freshkey.oauth", "freshkey.errors"}
FOR_TOOLS = FOR_PROVIDERS | {"freshkey", "freshkey.events", "freshkey.expiry", "freshkey.admin"}
MAY_USE = {"freshkey_cli": FOR_TOOLS, "freshkey_testing": FOR_TOOLS}
"""The modules of the core that a plugin may import from; for providers and all other plugins, `FOR_PROVIDERS`."""

PRIVATE_NAMES = {
    "freshkey_testing": {
        "freshkey._plugins.discovery.load_store",
        "freshkey._plugins.hook_caller.HookCaller",
        "freshkey._plugins.wiring.wire",
        "freshkey._stores.records.codec.Codec",
    }
}
"""Private names that a contract kit also needs: it calls hooks and reads records like the core."""

ONLY_THERE = {
    "anthropic": {"freshkey_claude_oauth.sdk"},
    "cattrs": {"freshkey._stores.records.codec", "freshkey._config.provider_settings"},
    "cryptography": {
        "freshkey._stores.encrypted_file.store",
        "freshkey._stores.encrypted_file.key",
        "freshkey.oauth.assertion",
        "freshkey_testing.server.signature",
        "freshkey_vertex.google_auth",
    },
    "filelock": {"freshkey._interprocess.lock"},
    "google": {
        f"freshkey_vertex.{name}"
        for name in (
            *("aws_supplier", "executable", "federation", "fetch_token", "google_auth", "impersonation", "metadata"),
            "sdk",
        )
    },
    # The contract kit watches what a provider sends, with whichever client.
    "httpx": {
        "freshkey._http.client",
        "freshkey.adapters.httpx",
        "freshkey_testing.provider_contract.wire",
    },
    "joserfc": {"freshkey.oauth.id_token_signature"},
    "keyring": {f"freshkey._stores.keychain.{name}" for name in ("credential_manager", "kwallet", "secret_service")},
    "platformdirs": {"freshkey._config.configuration"},
    "pluggy": {"freshkey.hooks", "freshkey._plugins.wiring"},
    "tenacity": {"freshkey._renewal.retry"},
}
"""Libraries that only a few modules of one subject may import, so that they can be replaced there."""

ONLY_IN_PLUGINS = {
    "botocore": {"freshkey_bedrock", "freshkey_vertex"},  # the latter: AWS keys for federation, if it is installed
    "pytest": {"freshkey_testing"},
    "rich": {"freshkey_cli"},
}
"""Libraries that only these plugins may import."""

VENDOR_SESSIONS = {"botocore_session", "google_credentials"}
"""Functions in addition to the hooks: they import a vendor's SDK when called, and give it credentials."""

PROVIDERS = re.compile(r"claude|anthropic|bedrock|vertex|\baws\b|amazon|botocore|google.auth", re.IGNORECASE)

MODULE_LIMIT = 300
FUNCTION_LIMIT = 40
OIDC_LIMIT = 700
"""Maximum number of code lines of the provider for any OpenID Connect issuer, all modules together."""


def plugin_of(name: str) -> str:
    """Return the package that a module belongs to: ``freshkey``, or that of a plugin."""
    return name.partition(".")[0]


def room(name: str) -> str:
    """Return the package of a module of the core: its file or folder directly below ``freshkey``."""
    return f"{name}.{name}".split(".")[1]


def home_of(page: str, name: str) -> str | None:
    """Return the module from which a public page loads a name."""
    homes: dict[str, str] = importlib.import_module(page)._HOMES
    return next((f"freshkey.{home}" for home, names in homes.items() if name in names.split()), None)


def resolve(target: str) -> str:
    """Return the module that an import loads, or an empty string if it is not part of this project.

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
    """Yield each module of this project that a module imports, and the line number.

    Args:
        module: The importing module.
        loading: Whether to omit what a public page imports only for types, because that loads nothing.
    """
    for each in imports(module.tree):
        if each.target == LOADER or (loading and each.for_types_only and module.name in PAGES):
            continue
        if target := resolve(each.target):
            yield target, each.line


def where(module: Module, line: int) -> str:
    """Return a location as ``path:line``."""
    return f"{module.path.relative_to(ROOT)}:{line}"


def of_plugin(package: str) -> Iterable[Module]:
    """Return the modules of one plugin."""
    return (module for module in PLUGIN_MODULES.values() if plugin_of(module.name) == package)


PACKAGES = sorted({plugin_of(name) for name in PLUGIN_MODULES})
PROVIDER_PACKAGES = [name for name in PACKAGES if f"{name}.sources" in PLUGIN_MODULES]


# --- the import reader itself ----------------------------------------------------------------------------------------


def test_import_reader_finds_imports_in_functions_and_distinguishes_those_for_types() -> None:
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
        ("freshkey.plugin.Send", "freshkey.model.exchange"),
        ("freshkey.oauth.discover", "freshkey.oauth.metadata"),
        ("freshkey.Keeper", "freshkey.keeper"),
        ("freshkey.__version__", "freshkey"),
        ("os.path", ""),
    ],
)
def test_import_resolves_to_a_module(target: str, module: str) -> None:
    assert resolve(target) == module


def test_every_module_was_read() -> None:
    assert {"freshkey.keeper", "freshkey._plugins.hook_caller", "freshkey._stores.keychain.store"} <= set(CORE_MODULES)
    assert {"freshkey_cli", "freshkey_oidc.exchange", "freshkey_testing.demo"} <= set(PLUGIN_MODULES)
    assert "benchmarks.endurance.soak" in BENCHMARKS


# --- the layers of the core ------------------------------------------------------------------------------------------


def test_every_package_of_the_core_has_a_layer() -> None:
    placed = [name for layer in LAYERS for name in layer]
    assert sorted(placed) == sorted(set(placed))
    assert {room(name) for name in CORE_MODULES} == set(placed)


def test_every_import_is_from_the_same_package_or_a_lower_layer() -> None:
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
def test_restricted_packages_import_only_what_they_may(name: str) -> None:
    known = {
        room(target) for module in CORE_MODULES.values() if room(module.name) == name for target, _ in reached(module)
    }
    assert known - {name} <= KNOWS[name]


def test_there_are_no_import_cycles() -> None:
    graph = {
        module.name: {target for target, _ in reached(module, loading=True)} - {module.name}
        for module in ALL_MODULES.values()
    }
    while leaves := {name for name, targets in graph.items() if not targets & set(graph)}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    # What only leads to a cycle is not part of it.
    while roots := set(graph) - {target for targets in graph.values() for target in targets}:
        graph = {name: targets for name, targets in graph.items() if name not in roots}
    assert {name: sorted(targets & set(graph)) for name, targets in graph.items()} == {}


def test_few_modules_are_directly_in_the_core() -> None:
    flat = [module.path.name for module in CORE_MODULES.values() if module.path.parent == CORE / "freshkey"]
    assert len(flat) <= MAX_FLAT, sorted(flat)


def test_public_page_loads_nothing_by_itself() -> None:
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


def test_only_the_hook_caller_calls_hooks() -> None:
    callers = {
        module.name
        for module in ALL_MODULES.values()
        for node in ast.walk(module.tree)
        # An event has a field with this name.
        if isinstance(node, ast.Attribute) and node.attr == "hook" and ast.unparse(node.value) != "event"
    }
    assert callers == {"freshkey._plugins.hook_caller"}


def test_no_module_uses_an_executor() -> None:
    """Executors refuse or abandon work while the interpreter exits, when a refresh token may just have been used."""
    banned = re.compile(r"\b(concurrent\.futures|ThreadPoolExecutor|run_in_executor|to_thread)\b")
    users = [
        str(module.path)
        for module in (CORE_MODULES | PLUGIN_MODULES).values()
        if plugin_of(module.name) != "freshkey_testing" and banned.search(ast.unparse(module.tree))
    ]
    assert users == []


# --- libraries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ONLY_THERE)
def test_library_is_imported_only_in_its_modules(library: str) -> None:
    loading = {
        module.name
        for module in ALL_MODULES.values()
        for each in imports(module.tree)
        if not each.for_types_only and each.target.split(".")[0] == library
    }
    assert loading == ONLY_THERE[library]


@pytest.mark.parametrize("library", ONLY_IN_PLUGINS)
def test_library_is_imported_only_by_its_plugins(library: str) -> None:
    users = {
        plugin_of(module.name)
        for module in ALL_MODULES.values()
        for each in imports(module.tree)
        if each.target.split(".")[0] == library
    }
    assert users == ONLY_IN_PLUGINS[library]


@pytest.mark.parametrize("package", PROVIDER_PACKAGES)
def test_describing_a_provider_loads_no_vendor_library(package: str) -> None:
    """Listing providers and creating a keeper must not load a vendor's library, which is slow."""
    program = f"import {package} as it, sys; it.describe(profile=None, credential=None); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    loaded = set(done.stdout.split())
    assert f"{package}.settings" in loaded
    # An editable install can create an empty package with this name.
    heavy = {*ONLY_THERE, *ONLY_IN_PLUGINS, "boto3", "google.auth"} - {"pluggy", "google"}
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
def test_plugin_imports_only_public_modules_meant_for_it(package: str) -> None:
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


def test_allowed_private_names_are_in_use() -> None:
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
def test_settings_of_a_provider_do_not_import_its_sources(package: str) -> None:
    """Settings are below the sources that read them, and must not import them even indirectly."""
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
def test_main_module_of_a_provider_contains_only_hooks(package: str) -> None:
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


def test_listing_providers_does_not_import_them(tmp_path: Path) -> None:  # TRU-1
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


# --- documentation ---------------------------------------------------------------------------------------------------

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
def test_hooks_that_send_requests_document_each_error(hook: object) -> None:
    raised = re.findall(r"^    (\w+): \S", sections(inspect.getdoc(hook) or "")["Raises"], re.MULTILINE)
    assert raised == ["TransientError", "OutcomeUnknown", "LoginRequired", "ProviderRefused"]
    for name in raised:
        assert issubclass(getattr(errors, name), errors.FreshkeyError)
        assert f"- `{name}`: " in (hooks.__doc__ or "")


def test_every_module_has_a_docstring_with_its_purpose() -> None:
    silent = []
    for module in ALL_MODULES.values():
        summary = (ast.get_docstring(module.tree) or "").split("\n\n")[0]
        annotated = len(module.tree.body) < 2 or (
            ast.unparse(module.tree.body[1]) == "from __future__ import annotations"
        )
        if not summary.endswith((".", "::", ":")) or not annotated:
            silent.append(str(module.path.relative_to(ROOT)))
    assert silent == [], "each must start with a one-sentence docstring, then from __future__ import annotations"


def test_source_does_not_mention_anything_outside_the_project() -> None:
    private = re.compile(r"/work/|\bissue \d|\bsession \d|design\.md|requirements\.md", re.IGNORECASE)
    assert [str(module.path) for module in ALL_MODULES.values() if private.search(module.text)] == []


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_provider_for_any_issuer_stays_small() -> None:
    """What OAuth needs belongs to the toolkit of the core, where every provider has it."""
    assert sum(len(code_lines(module)) for module in of_plugin("freshkey_oidc")) <= OIDC_LIMIT


def test_no_module_is_too_long() -> None:
    """A longer module does more than one job and should be split."""
    sizes = {name: len(code_lines(module)) for name, module in ALL_MODULES.items()}
    assert {name: size for name, size in sizes.items() if size > MODULE_LIMIT} == {}
    assert statistics.median(sizes.values()) < 100


def test_no_function_is_too_long() -> None:
    """A function that does not fit on one screen is hard to review and should be split into named steps."""
    long = []
    for module in ALL_MODULES.values():
        lines = code_lines(module)
        for function in module.functions:
            length = len(lines & set(range(function.lineno, (function.end_lineno or 0) + 1)))
            if length > FUNCTION_LIMIT:
                long.append(f"{module.path.relative_to(ROOT)}: {function.name}: {length}")
    assert long == []
