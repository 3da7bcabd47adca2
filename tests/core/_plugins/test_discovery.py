"""Plugins are found by metadata, imported one at a time, and wired only if they fit (TRU-1, row 59)."""

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
from matrix import row


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
    """Return a function that installs a distribution with one entry point and one module, as an installer would."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, entry: str, *, code: str = HOOKS, group: str = PROVIDERS, distribution: str = "") -> Path:
        module = entry.partition(":")[0]
        distribution = distribution or f"dist-{name}"
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {entry}\n")
        (tmp_path / f"{module}.py").write_text(code)
        importlib.invalidate_caches()
        return tmp_path

    yield install
    for name in set(sys.modules) - known:
        if name.startswith("fixture_"):
            del sys.modules[name]


def named(name: str, group: str = PROVIDERS) -> Found | None:
    return next((found for found in discovery.find(group) if found.name == name), None)


# --- finding ---------------------------------------------------------------------------------------------------------


def test_a_plugin_is_found_without_being_imported(install: Install) -> None:  # TRU-1
    install("acme", "fixture_acme", code="raise SystemExit('imported')")
    assert named("acme") == Found(name="acme", distribution="dist-acme", version="1.2", module="fixture_acme")
    assert "fixture_acme" not in sys.modules


def test_plugins_are_sorted_and_of_their_group_only(install: Install) -> None:
    install("zeta", "fixture_zeta")
    install("alpha", "fixture_alpha")
    install("vault", "fixture_vault", group=STORES)
    names = [found.name for found in discovery.find()]
    assert names == sorted(names)
    assert {"alpha", "zeta"} <= set(names)
    assert "vault" not in names
    assert [found.name for found in discovery.find(STORES)] == ["vault"]


@row(59)
def test_two_distributions_with_one_name_are_both_named(install: Install) -> None:  # TRU-1
    install("acme", "fixture_acme", distribution="honest-acme")
    install("acme", "fixture_evil", distribution="evil-acme", code="raise SystemExit('imported')")
    acts: list[Callable[[], object]] = [
        discovery.find,
        lambda: discovery.load_provider("acme"),
        lambda: discovery.load_provider("other"),
    ]
    for act in acts:
        with pytest.raises(ConfigurationError, match=r"claim the name 'acme': evil-acme and honest-acme\. Uninstall"):
            act()
    assert "fixture_evil" not in sys.modules


def test_one_distribution_seen_twice_is_one(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_finding_imports_no_plugin_in_a_process_of_its_own(install: Install) -> None:  # TRU-1
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


def test_a_plugin_is_imported_when_it_is_named_and_no_other_is(install: Install) -> None:  # TRU-1
    install("acme", "fixture_acme")
    install("other", "fixture_other", code="raise SystemExit('imported')")
    loaded = discovery.load_provider("acme")
    assert loaded is sys.modules["fixture_acme"]
    assert "fixture_other" not in sys.modules


def test_an_entry_point_may_name_an_object_in_a_module(install: Install) -> None:
    install("acme", "fixture_acme:Outer.plugin", code="class Outer:\n    plugin = 'the plugin'")
    assert discovery.load_provider("acme") == "the plugin"


@pytest.mark.parametrize(
    ("load", "kind"),
    [(discovery.load_provider, "provider"), (discovery.load_store, "store"), (discovery.load_observer, "observer")],
)
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(
    install: Install, load: Callable[[str], object], kind: str
) -> None:
    install("acme", "fixture_acme", group=f"freshkey.{kind}s")
    with pytest.raises(ConfigurationError, match=rf"there is no {kind} 'acne'\. Installed: .*acme"):
        load("acne")


def test_where_nothing_is_installed_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"no observer 'audit'\. No observer is installed; install the distr"):
        discovery.load_observer("audit")


def test_the_stores_that_come_along_are_listed_with_the_others() -> None:
    with pytest.raises(ConfigurationError, match="Installed: keyring, file, memory"):
        discovery.load_store("vault")


@pytest.mark.parametrize("name", OWN_STORES)
def test_no_distribution_can_claim_a_store_that_comes_along(install: Install, name: str) -> None:  # TRU-1
    install(name, "fixture_evil", group=STORES, code="raise SystemExit('imported')")
    store = discovery.load_store(name)
    assert getattr(store, "__name__", None) == OWN_STORES[name]
    assert "fixture_evil" not in sys.modules


@row(59)
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"raise ValueError('{CANARY}')", "ValueError in fixture_acme.py, line 1"),
        (f"\nraise SystemExit('{CANARY}')", "SystemExit in fixture_acme.py, line 2"),
        ("import fixture_missing", r"there is no module 'fixture_missing': ModuleNotFoundError in fixture_acme.py"),
        ("from freshkey import no_such_name", "ImportError in fixture_acme.py, line 1"),
        (f"def broken(: '{CANARY}'", "SyntaxError"),
        ("", "AttributeError"),
    ],
    ids=["raises", "exits", "lacks a dependency", "lacks a name", "is no Python", "lacks the object"],
)
def test_whatever_an_import_raises_names_the_distribution(install: Install, code: str, said: str) -> None:  # row 59
    install("acme", "fixture_acme:plugin", code=code)
    install("works", "fixture_works")
    with pytest.raises(PluginBroken, match=rf"'acme' of dist-acme 1\.2 cannot be imported \({said}") as caught:
        discovery.load_provider("acme")
    assert str(caught.value).endswith("Update or uninstall dist-acme")
    assert caught.value.plugin == "acme"
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__
    assert discovery.load_provider("works") is sys.modules["fixture_works"]


def test_an_interrupted_import_is_the_person_s(install: Install) -> None:
    install("acme", "fixture_acme", code="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discovery.load_provider("acme")


def test_what_was_never_raised_has_no_place() -> None:
    assert describe_raise(ValueError(CANARY)) == "ValueError"


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


def test_a_manager_holds_what_was_named_and_nothing_else(install: Install) -> None:  # TRU-1
    install("other", "fixture_other")
    provider, store, observer = Provider(), StorePlugin(), Observer(passes)
    manager = wire(provider, store, {"audit": observer})
    assert dict(manager.list_name_plugin()) == {"acme": provider, "store vault": store, "audit": observer}


@pytest.mark.parametrize("configured", [True, False])
def test_configuration_s_store_is_asked_before_the_provider_s_and_the_default_after(configured: bool) -> None:
    class Storing(Provider):
        @hookimpl
        def store(self) -> object:
            return FakeStore("provider's")

    manager = wiring.wire(
        "acme", Storing(), store=("store vault", StorePlugin()), store_is_configured=configured, observers={}
    )
    assert manager.hook.store(profile=profile()).name == ("fake" if configured else "provider's")


@pytest.mark.parametrize("name", OWN_STORES)
def test_the_stores_that_come_along_fit(name: str) -> None:
    wire(store=discovery.load_store(name))


class Bare:
    """Marks nothing."""

    def describe(self) -> None: ...

    def acquire(self) -> None: ...


class Half:
    @hookimpl
    def describe(self) -> None: ...


class Misspelt(Provider):
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
    ("provider", "said"),
    [
        (Bare(), "provider 'acme' lacks the hooks describe, acquire, refresh. Mark each function"),
        (Half(), "provider 'acme' lacks the hooks acquire, refresh"),
        (Misspelt(), "'acme' does not fit the hooks: unknown hook 'refesh'"),
        (TooMany(), "'acme' does not fit the hooks: .*password"),
        (Wrapper(), "'acme' wraps the hook 'store', as only observers may"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_provider_that_does_not_fit_is_refused(provider: object, said: str) -> None:
    with pytest.raises(PluginBroken, match=said) as caught:
        wire(provider)
    assert caught.value.plugin == "acme"


class Answering(StorePlugin):
    @hookimpl
    def refresh(self, credential: object) -> object:
        return credential


class Spying(StorePlugin):
    @hookimpl(wrapper=True)
    def acquire(self) -> Wrapping:
        return (yield)


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (object(), "store vault lacks the hook store"),
        (Answering(), "store vault answers the hook 'refresh', which is the provider's"),
        (Spying(), "'store vault' wraps the hook 'acquire', as only observers may"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_store_plugin_that_does_more_than_store_is_refused(store: object, said: str) -> None:
    with pytest.raises(PluginBroken, match=said) as caught:
        wire(store=store)
    assert caught.value.plugin == "store vault"


class Meddling:
    @hookimpl
    def refresh(self) -> object:
        return "an answer"


class MarkedAsWrapper:
    @hookimpl(wrapper=True)
    def refresh(self) -> object:
        return "an answer"


class MisspeltObserver:
    @hookimpl(wrapper=True)
    def refesh(self) -> Wrapping:
        return (yield)


@pytest.mark.parametrize(
    ("observer", "said"),
    [
        (Meddling(), r"observer 'audit' answers the hook 'refresh' instead of wrapping it\. .*wrapper=True"),
        (object(), r"observer 'audit' wraps no hook\. .*wrapper=True"),
        (Bare(), "observer 'audit' wraps no hook"),
        (MarkedAsWrapper(), "'audit' does not fit the hooks: .*not a generator function"),
        (MisspeltObserver(), "'audit' does not fit the hooks: unknown hook 'refesh'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_observer_that_does_not_wrap_is_refused(observer: object, said: str) -> None:
    with pytest.raises(PluginBroken, match=said) as caught:
        wire(observers={"good": Observer(passes), "audit": observer})
    assert caught.value.plugin == "audit"


def test_one_plugin_under_two_names_is_refused() -> None:
    twice = Observer(passes)
    with pytest.raises(PluginBroken, match="'again' is registered twice"):
        wire(observers={"audit": twice, "again": twice})
