"""Plugins are found by metadata, imported one at a time, and wired only if they are valid (TRU-1, FAULT-59)."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pluggy
import pytest

from example_provider import CANARY, FakeStore, Observer, Provider, StorePlugin, Wrapping, profile
from freshkey._plugins import discovery, wiring
from freshkey._plugins.discovery import OWN_STORES, PROVIDERS, STORES, Found
from freshkey.errors import ConfigurationError, PluginBroken, describe_raise
from freshkey.hooks import hookimpl
from promises import proves
from raises_code import raises_code


HOOKS = """
from freshkey import hookimpl
@hookimpl
def describe(profile, credential): ...
@hookimpl
def acquire(profile, source, interaction): ...
@hookimpl
def refresh(profile, credential, reporter): ...
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs a distribution with one entry point and one module."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, entry: str, *, code: str = HOOKS, group: str = PROVIDERS, distribution: str = "") -> Path:
        module = entry.partition(":")[0]
        distribution = distribution or f"dist-{name}"
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {entry}\n", "utf-8")
        (tmp_path / f"{module}.py").write_text(code, "utf-8")
        importlib.invalidate_caches()
        return tmp_path

    yield install
    for name in set(sys.modules) - known:
        if name.startswith("fixture_"):
            del sys.modules[name]


def named(name: str, group: str = PROVIDERS) -> Found | None:
    return next((found for found in discovery.find(group) if found.name == name), None)


# --- finding ---------------------------------------------------------------------------------------------------------


def test_plugin_is_found_without_import(install: Install) -> None:  # TRU-1
    install("acme", "fixture_acme", code="raise SystemExit('imported')")
    assert named("acme") == Found(name="acme", distribution="dist-acme", version="1.2", module="fixture_acme")
    assert "fixture_acme" not in sys.modules


def test_plugins_are_sorted_and_only_those_of_the_group(install: Install) -> None:
    install("zeta", "fixture_zeta")
    install("alpha", "fixture_alpha")
    install("vault", "fixture_vault", group=STORES)
    names = [found.name for found in discovery.find()]
    assert names == sorted(names)
    assert {"alpha", "zeta"} <= set(names)
    assert "vault" not in names
    assert [found.name for found in discovery.find(STORES)] == ["vault"]


@proves("FAULT-59", "TRU-1")
def test_name_conflict_names_both_distributions_and_stops_only_that_name(install: Install) -> None:
    install("acme", "fixture_acme", distribution="honest-acme")
    install("acme", "fixture_evil", distribution="evil-acme", code="raise SystemExit('imported')")
    install("other", "fixture_other")
    with raises_code(ConfigurationError, "plugin-name-conflict") as caught:
        discovery.load_provider("acme")
    for fact in ("acme", "evil-acme", "honest-acme"):
        assert fact in caught.value.message
    assert "fixture_evil" not in sys.modules
    assert "fixture_acme" not in sys.modules
    assert discovery.load_provider("other") is sys.modules["fixture_other"]
    assert {"other"} <= discovery.provider_ids()
    assert "acme" not in discovery.provider_ids()
    flaws = [found.flaw for found in discovery.find() if found.name == "acme"]
    assert flaws == ["is provided by more than one package: evil-acme and honest-acme"] * 2


LOOKALIKES = [
    *("b\u0435drock", "Acme", "ACME", "acme-", "acme_", "_acme", "a--b", "acme\u200b", "\u2060acme", "ac\u0301me"),
    *("../acme", "ac/me", "acme\x1b[31m", "1acme", "acme.x", "acme x", "a" * 65, "\uff41cme", "acme\u3164"),
]


@proves("TRU-1")
@pytest.mark.parametrize("name", LOOKALIKES)
def test_name_that_could_be_mistaken_for_another_is_marked_and_never_loaded(install: Install, name: str) -> None:
    install(name, "fixture_evil", distribution="evil", code="raise SystemExit('imported')")
    install("acme", "fixture_acme")
    (evil,) = [found for found in discovery.find() if found.distribution == "evil"]
    assert evil.flaw is not None
    assert evil.shown_name.isascii()
    assert evil.shown_name.isprintable()
    assert len(evil.shown_name) < 400
    assert evil.shown_name != "acme"
    with raises_code(ConfigurationError, "plugin-name-invalid"):
        discovery.load_provider(evil.name)
    assert evil.name not in discovery.provider_ids()
    assert discovery.load_provider("acme") is sys.modules["fixture_acme"]


@proves("TRU-1")
def test_name_with_hyphens_must_not_resemble_one_with_underscores(install: Install) -> None:
    install("my_acme", "fixture_acme")
    install("my-acme", "fixture_evil", distribution="evil")
    install("only-this", "fixture_this")
    assert discovery.load_provider("my_acme") is sys.modules["fixture_acme"]
    assert discovery.load_provider("only-this") is sys.modules["fixture_this"]
    with raises_code(ConfigurationError, "plugin-name-invalid"):
        discovery.load_provider("my-acme")


@proves("TRU-1")
@pytest.mark.parametrize("name", sorted(OWN_STORES))
def test_name_of_an_own_store_is_reserved(install: Install, name: str) -> None:
    install(name, "fixture_evil", group=STORES, code="raise SystemExit('imported')")
    install("vault", "fixture_vault", group=STORES)
    assert [found.name for found in discovery.find(STORES) if found.flaw is None] == ["vault"]
    assert discovery.load_store(name) is importlib.import_module(OWN_STORES[name])


BROKEN = [
    {"METADATA": None},
    {"METADATA": b""},
    {"METADATA": b"\xff\xfe\x00"},
    {"METADATA": b"Name\n: x"},
    {"entry_points.txt": b"[freshkey.providers]\nnothing here\n"},
    {"entry_points.txt": b"[freshkey.providers\nevil = a:b:c d\n"},
    {"entry_points.txt": b"[freshkey.providers]\nevil = \xff\xfe\n"},
    {"entry_points.txt": b"[freshkey.providers]\nevil =\n = fixture_evil\nevil2 = os; import x\n"},
    {"entry_points.txt": b"freshkey.providers\x00\n[[[\n]]]\n===\n"},
]


@proves("TRU-1", "FAULT-59")
@pytest.mark.parametrize("files", BROKEN)
def test_package_with_damaged_metadata_harms_only_itself(install: Install, files: dict[str, bytes | None]) -> None:
    path = install("evil", "fixture_evil", code="raise SystemExit('imported')", distribution="evil")
    for name, content in files.items():
        (path / "evil-1.2.dist-info" / name).unlink()
        if content is not None:
            (path / "evil-1.2.dist-info" / name).write_bytes(content)
    install("acme", "fixture_acme")
    assert discovery.load_provider("acme") is sys.modules["fixture_acme"]
    assert "fixture_evil" not in sys.modules
    assert all(
        found.flaw for found in discovery.find() if found.name.startswith("evil") and found.module != "fixture_evil"
    )


def test_distribution_found_twice_is_one(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme", "fixture_acme")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.syspath_prepend(str(tmp_path / "again"))
    assert [found.name for found in discovery.find()].count("acme") == 1


SENTINEL = """
import sys
from freshkey._plugins import discovery as plugins
found = [plugin.name for plugin in plugins.find()]
assert "acme" in found, found
print([name for name in sys.modules if name.startswith(("fixture_", "freshkey_"))])
"""


def test_finding_imports_no_plugin_in_a_new_process(install: Install) -> None:  # TRU-1
    path = install("acme", "fixture_acme", code="raise SystemExit('imported')")
    done = subprocess.run(
        [sys.executable, "-c", SENTINEL],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(path), "PATH": ""},
    )
    assert done.stdout.strip() == "[]"


# --- loading ---------------------------------------------------------------------------------------------------------


def test_only_the_named_plugin_is_imported(install: Install) -> None:  # TRU-1
    install("acme", "fixture_acme")
    install("other", "fixture_other", code="raise SystemExit('imported')")
    loaded = discovery.load_provider("acme")
    assert loaded is sys.modules["fixture_acme"]
    assert "fixture_other" not in sys.modules


def test_entry_point_can_name_an_object_in_a_module(install: Install) -> None:
    install("acme", "fixture_acme:Outer.plugin", code="class Outer:\n    plugin = 'the plugin'")
    assert discovery.load_provider("acme") == "the plugin"


@pytest.mark.parametrize(
    ("load", "kind"),
    [(discovery.load_provider, "provider"), (discovery.load_store, "store"), (discovery.load_observer, "observer")],
)
def test_error_about_an_unknown_plugin_lists_the_installed_ones(
    install: Install, load: Callable[[str], object], kind: str
) -> None:
    install("acme", "fixture_acme", group=f"freshkey.{kind}s")
    with raises_code(ConfigurationError, "unknown-plugin") as caught:
        load("acne")
    assert f"{kind} 'acne'" in caught.value.message
    assert "acme" in str(caught.value.hint)


def test_error_about_an_unknown_plugin_without_installed_ones_says_to_install_it() -> None:
    with raises_code(ConfigurationError, "unknown-plugin") as caught:
        discovery.load_observer("audit")
    assert "observer 'audit'" in caught.value.message
    assert "Install" in str(caught.value.hint)


def test_error_about_an_unknown_store_lists_the_built_in_ones() -> None:
    with raises_code(ConfigurationError, "unknown-plugin") as caught:
        discovery.load_store("vault")
    assert "keyring, file, memory" in str(caught.value.hint)


@pytest.mark.parametrize("name", OWN_STORES)
def test_no_distribution_can_replace_a_built_in_store(install: Install, name: str) -> None:  # TRU-1
    install(name, "fixture_evil", group=STORES, code="raise SystemExit('imported')")
    store = discovery.load_store(name)
    assert getattr(store, "__name__", None) == OWN_STORES[name]
    assert "fixture_evil" not in sys.modules


@proves("FAULT-59")
@pytest.mark.parametrize(
    ("code", "fact"),
    [
        (f"raise ValueError('{CANARY}')", "ValueError in fixture_acme.py, line 1"),
        (f"\nraise SystemExit('{CANARY}')", "SystemExit in fixture_acme.py, line 2"),
        ("import fixture_missing", "'fixture_missing': ModuleNotFoundError in fixture_acme.py"),
        ("from freshkey import no_such_name", "ImportError in fixture_acme.py, line 1"),
        (f"def broken(: '{CANARY}'", "SyntaxError"),
        ("", "names 'plugin', which fixture_acme does not have"),
    ],
    ids=["raises", "exits", "lacks a dependency", "lacks a name", "is not Python", "lacks the object"],
)
def test_failed_import_names_the_distribution(install: Install, code: str, fact: str) -> None:  # FAULT-59
    install("acme", "fixture_acme:plugin", code=code)
    install("works", "fixture_works")
    with raises_code(PluginBroken, "plugin-not-loadable") as caught:
        discovery.load_provider("acme")
    assert "'acme' of dist-acme 1.2" in caught.value.message
    assert fact in caught.value.message
    assert "dist-acme" in str(caught.value.hint)
    assert caught.value.plugin == "acme"
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__
    assert discovery.load_provider("works") is sys.modules["fixture_works"]


def test_keyboard_interrupt_during_an_import_passes_through(install: Install) -> None:
    install("acme", "fixture_acme", code="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discovery.load_provider("acme")


def test_exception_that_was_never_raised_is_described_by_its_class() -> None:
    assert describe_raise(ValueError(CANARY)) == "ValueError"


@pytest.mark.parametrize(
    ("entry", "code", "message", "hint"),
    [
        (
            "fixture_acme:plugn",
            "plugin = 1",
            """its entry point acme = "fixture_acme:plugn" names 'plugn', which fixture_acme does not have""",
            "Did you mean 'plugin'?",
        ),
        (
            "fixture_acme.nothing",
            HOOKS,
            'its entry point acme = "fixture_acme.nothing" names the module fixture_acme, which does not exist',
            "pyproject.toml",
        ),
        (
            "fixture_acme:plugin",
            "import freshkey.plugin\nfreshkey.plugin.ThingOfTheFuture",
            "(AttributeError in fixture_acme.py, line 2)",
            "Update or uninstall dist-acme",
        ),
        (
            "fixture_acme:plugin",
            "from freshkey.plugin import ThingOfTheFuture",
            "(ImportError in fixture_acme.py, line 1)",
            "Upgrade freshkey",
        ),
        ("fixture_acme", "x = (", "(SyntaxError in fixture_acme.py, line 1)", "FRESHKEY_DEBUG=1"),
    ],
    ids=["object", "module", "our attribute", "our name", "syntax"],
)
def test_wrong_entry_point_is_named_as_its_author_wrote_it(
    install: Install, entry: str, code: str, message: str, hint: str
) -> None:
    install("acme", entry, code=code)
    with raises_code(PluginBroken, "plugin-not-loadable") as caught:
        discovery.load_provider("acme")
    assert "provider 'acme' of dist-acme 1.2" in caught.value.message
    assert message in caught.value.message
    assert hint in str(caught.value.hint)
    for ours in ("discovery.py", "pluggy", "importlib", "__init__.py"):
        assert ours not in str(caught.value)


def test_failed_import_is_shown_whole_if_wanted(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_DEBUG", "1")
    monkeypatch.setenv("ACME_API_KEY", CANARY)
    install("acme", "fixture_acme", code="import os\nraise ValueError('odd: ' + os.environ['ACME_API_KEY'])")
    with raises_code(PluginBroken, "plugin-not-loadable") as caught:
        discovery.load_provider("acme")
    (note,) = caught.value.__notes__
    assert "raise ValueError('odd: ' + os.environ['ACME_API_KEY'])" in note
    assert CANARY not in note


# --- wiring ----------------------------------------------------------------------------------------------------------


def wire(
    provider: object = None, store: object = None, observers: dict[str, object] | None = None
) -> pluggy.PluginManager:
    return wiring.wire(
        "acme",
        provider or Provider(),
        store=("store vault", store or StorePlugin()),
        store_is_configured=True,
        observers=observers or {},
    )


def passes() -> Wrapping:
    return (yield)


def test_manager_has_only_the_named_plugins(install: Install) -> None:  # TRU-1
    install("other", "fixture_other")
    provider, store, observer = Provider(), StorePlugin(), Observer(passes)
    manager = wire(provider, store, {"audit": observer})
    assert dict(manager.list_name_plugin()) == {"acme": provider, "store vault": store, "observer audit": observer}


@pytest.mark.parametrize("configured", [True, False])
def test_configured_store_comes_before_the_provider_s_and_the_default_after(configured: bool) -> None:
    class Storing(Provider):
        @hookimpl
        def store(self) -> object:
            return FakeStore("provider's")

    manager = wiring.wire(
        "acme", Storing(), store=("store vault", StorePlugin()), store_is_configured=configured, observers={}
    )
    assert manager.hook.store(profile=profile()).name == ("fake" if configured else "provider's")


@pytest.mark.parametrize("name", OWN_STORES)
def test_built_in_stores_are_valid_plugins(name: str) -> None:
    wire(store=discovery.load_store(name))


class Bare:
    """A plugin without any hookimpl."""

    def describe(self) -> None: ...

    def acquire(self) -> None: ...


class Half:
    @hookimpl
    def describe(self) -> None: ...


class Misspelled(Provider):
    @hookimpl
    def refesh(self) -> None: ...


class TooMany(Provider):
    @hookimpl
    def store(self, profile: object, password: object) -> None: ...


class Wrapper(Provider):
    @hookimpl(wrapper=True)
    def store(self) -> Wrapping:
        return (yield)


@pytest.mark.parametrize(
    ("provider", "fact"),
    [
        (Bare(), "hooks describe, acquire, refresh"),
        (Half(), "hooks acquire, refresh"),
        (Misspelled(), "unknown hook 'refesh'"),
        (TooMany(), "password"),
        (Wrapper(), "wraps the hook 'store'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_invalid_provider_is_rejected(provider: object, fact: str) -> None:
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        wire(provider)
    assert caught.value.plugin == "acme"
    assert "'acme'" in caught.value.message
    assert fact in caught.value.message


class Answering(StorePlugin):
    @hookimpl
    def refresh(self, credential: object) -> object:
        return credential


class Spying(StorePlugin):
    @hookimpl(wrapper=True)
    def acquire(self) -> Wrapping:
        return (yield)


@pytest.mark.parametrize(
    ("store", "fact"),
    [
        (object(), "the hook store"),
        (Answering(), "implements the hook 'refresh'"),
        (Spying(), "wraps the hook 'acquire'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_store_plugin_with_wrong_hooks_is_rejected(store: object, fact: str) -> None:
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        wire(store=store)
    assert caught.value.plugin == "store vault"
    assert "store vault" in caught.value.message
    assert fact in caught.value.message


class Meddling:
    @hookimpl
    def refresh(self) -> object:
        return "an answer"


class MarkedAsWrapper:
    @hookimpl(wrapper=True)
    def refresh(self) -> object:
        return "an answer"


class MisspelledObserver:
    @hookimpl(wrapper=True)
    def refesh(self) -> Wrapping:
        return (yield)


@pytest.mark.parametrize(
    ("observer", "facts"),
    [
        (Meddling(), ["'refresh'", "wrapper=True"]),
        (object(), ["any hook", "wrapper=True"]),
        (Bare(), ["any hook", "wrapper=True"]),
        (MarkedAsWrapper(), ["not a generator function"]),
        (MisspelledObserver(), ["unknown hook 'refesh'"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_observer_that_does_not_wrap_is_rejected(observer: object, facts: list[str]) -> None:
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        wire(observers={"good": Observer(passes), "audit": observer})
    assert caught.value.plugin == "audit"
    for fact in ("'audit'", *facts):
        assert fact in str(caught.value)


def test_one_plugin_under_two_names_is_rejected() -> None:
    twice = Observer(passes)
    with raises_code(PluginBroken, "plugin-name-conflict") as caught:
        wire(observers={"audit": twice, "again": twice})
    assert "'again'" in caught.value.message
