"""Mistakes in a plugin's hooks: each is named when it is loaded, in words of its author."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from example_provider import Observer, Provider, StorePlugin, Wrapping
from freshkey import hooks
from freshkey._plugins import wiring
from freshkey._plugins.discovery import Found
from freshkey._plugins.hook_checks import ARGUMENTS, contract_of
from freshkey.errors import PluginBroken
from freshkey.hooks import CONTRACT, hookimpl
from raises_code import raises_code


FOUND = Found(name="acme", distribution="freshkey-acme", version="0.3.1", module="freshkey_acme")


def passes() -> Wrapping:
    return (yield)


def wire(
    provider: object = None, *, store: object = None, observer: object = None, found: dict[str, Found] | None = None
) -> None:
    wiring.wire(
        "acme",
        provider or Provider(),
        store=("store vault", store or StorePlugin()),
        store_is_configured=True,
        observers={"acme": observer or Observer(passes)},
        found=found,
    )


def module(code: str, **more: Any) -> types.ModuleType:
    made = types.ModuleType("freshkey_acme")
    vars(made).update(hookimpl=hookimpl, **more)
    exec(code, vars(made))  # noqa: S102  the test's own text
    return made


GOOD = """
@hookimpl
def describe(profile, credential): ...
@hookimpl
def acquire(profile, source, interaction): ...
@hookimpl
def refresh(profile, credential, reporter): ...
"""


def test_good_modules_and_objects_are_wired() -> None:
    wire(module(GOOD))
    wire(module(f"{GOOD}\nfrom pathlib import Path as store"))
    wire(module(f"{GOOD}\ndef store(path, text): ...\ndef _describe(profile): ..."))
    wire(module(GOOD.replace("def refresh(profile, credential, reporter)", "def refresh(credential, reason)")))
    wire(module(GOOD.replace("@hookimpl\ndef refresh", "@hookimpl(specname='refresh')\ndef renew")))
    wire(module(f"{GOOD}\n@hookimpl(optionalhook=True)\ndef of_the_future(profile): ..."))
    wire(module(GOOD.replace("reporter)", "reporter, cache={}, *rest, **more)")))


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


MISTAKES = {
    "misspelt hook": (replaced("def refresh", "def refesh"), "unknown hook 'refesh'", "Did you mean 'refresh'?"),
    "misspelt function": (
        replaced("@hookimpl\ndef refresh", "def refesh"),
        "does not implement the hook refresh",
        "Did you mean 'refresh' by the function 'refesh'?",
    ),
    "misspelt argument": (
        replaced("credential, reporter", "credentials, reporter"),
        "unknown argument 'credentials' in its hook 'refresh'",
        "Did you mean 'credential'? The arguments of refresh are: profile, credential, reporter, reason",
    ),
    "invented argument": (replaced("reporter)", "reporter, http)"), "unknown argument 'http'", "Remove it"),
    "not marked": (
        replaced("@hookimpl\ndef refresh", "def refresh"),
        "has a function 'refresh' that is not marked as a hook",
        "Put @hookimpl above it",
    ),
    "optional hook not marked": (f"{GOOD}\ndef store(profile): ...", "'store' that is not marked", "Put @hookimpl"),
    "method in a module": (replaced("def refresh(", "def refresh(self, "), "unknown argument 'self'", "are: profile"),
    "argument with a default": (replaced("reporter)", "reporter=None)"), "'reporter' of its hook 'refresh'", "Remove"),
    "by keyword only": (replaced("profile, credential, reporter", "*, profile"), "by keyword only", "Remove the *"),
    "asynchronous": (replaced("def refresh", "async def refresh"), "async def", "plain function"),
    "generator": (replaced("reporter): ...", "reporter): yield"), "a generator function", "Return the result"),
    "wrapper": (
        f"{GOOD[: GOOD.rindex('@')]}@hookimpl(wrapper=True)\ndef refresh(): yield",
        "wraps the hook 'refresh', which only observers may do",
        "None",
    ),
    "nothing": ("", "does not implement the hooks describe, acquire, refresh", "Mark each function"),
}


@pytest.mark.parametrize(("code", "what", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named_with_the_entry_point_and_what_to_change(code: str, what: str, hint: str) -> None:
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        wire(module(code), found={"acme": FOUND})
    message = caught.value.message
    assert message.startswith("provider 'acme' of freshkey-acme 0.3.1 (entry point acme = \"freshkey_acme\") ")
    assert what in message
    assert hint in str(caught.value.hint)
    assert "pluggy" not in str(caught.value).lower()
    assert caught.value.plugin == "acme"


class Methods:
    @hookimpl
    def describe(self, profile: object, credential: object) -> None: ...

    @hookimpl
    def acquire(self, profile: object, source: object, interaction: object) -> None: ...

    @hookimpl
    def refresh(self, profile: object, credential: object, reporter: object) -> None: ...


def test_class_in_place_of_an_instance_is_named() -> None:
    wire(Methods())
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        wire(Methods)
    assert "is the class Methods, whose hooks need an instance" in caught.value.message
    assert "plugin = Methods()" in str(caught.value.hint)


@pytest.mark.parametrize("plugin", ["1.0", 7, {"describe": 1}], ids=str)
def test_what_has_no_hooks_at_all_is_named_by_its_kind(plugin: object) -> None:
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        wire(plugin)
    assert f"Its entry point names a {type(plugin).__name__}" in str(caught.value.hint)


def test_what_only_the_plugin_manager_finds_is_an_error_too() -> None:
    code = "\n@hookimpl(wrapper=True, hookwrapper=True)\ndef refresh(): yield"
    with raises_code(PluginBroken, "plugin-hooks-invalid") as caught:
        wire(observer=module(code))
    assert "mutually exclusive" in caught.value.message


def test_observer_may_have_the_name_of_a_provider() -> None:
    wire(observer=Observer(passes))


@pytest.mark.parametrize("version", [CONTRACT + 1, 99])
def test_plugin_for_a_newer_contract_is_refused_with_both_versions(version: int) -> None:
    newer = module(GOOD, FRESHKEY_CONTRACT=version)
    with raises_code(PluginBroken, "plugin-contract-unsupported") as caught:
        wire(newer, found={"acme": FOUND})
    assert "provider 'acme' of freshkey-acme 0.3.1" in caught.value.message
    assert f"contract {version} of freshkey" in caught.value.message
    assert f"has contract {CONTRACT}" in caught.value.message
    assert "Upgrade freshkey" in str(caught.value.hint)
    with raises_code(PluginBroken, "plugin-contract-unsupported") as caught:
        wire(newer)
    assert caught.value.message.startswith("provider 'acme' was made for")


@pytest.mark.parametrize("version", ["1", 1.0, True, None, 0, -1, (1,)])
def test_version_that_is_not_one_is_an_error(version: object) -> None:
    with raises_code(PluginBroken, "plugin-contract-unsupported") as caught:
        wire(module(GOOD, FRESHKEY_CONTRACT=version))
    assert "FRESHKEY_CONTRACT that is not a whole number" in caught.value.message
    assert f"FRESHKEY_CONTRACT = {CONTRACT}" in str(caught.value.hint)


def test_object_that_fails_for_unknown_names_has_the_first_version() -> None:
    class Strange(Provider):
        def __getattr__(self, name: str) -> object:
            raise RuntimeError(name)

    assert contract_of(Strange()) == 1


def test_one_function_may_stand_for_several_hooks() -> None:
    class Watching:
        @hookimpl(wrapper=True)
        def _watch(self) -> Wrapping:
            return (yield)

        describe = acquire = refresh = store = _watch

    wire(observer=Watching())


def test_version_counts_for_stores_observers_and_objects() -> None:
    class NewStore(StorePlugin):
        FRESHKEY_CONTRACT = CONTRACT + 1

    class NewObserver(Observer):
        FRESHKEY_CONTRACT = CONTRACT + 1

    class NewProvider(Provider):
        FRESHKEY_CONTRACT = CONTRACT + 1

    for plugins in ({"provider": NewProvider()}, {"store": NewStore()}, {"observer": NewObserver(passes)}):
        with raises_code(PluginBroken, "plugin-contract-unsupported"):
            wire(**plugins)


def test_module_of_an_object_says_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "freshkey_acme", module(""))
    wire(Methods(), found={"acme": FOUND})
    monkeypatch.setitem(sys.modules, "freshkey_acme", module("", FRESHKEY_CONTRACT=CONTRACT + 1))
    with raises_code(PluginBroken, "plugin-contract-unsupported"):
        wire(Methods(), found={"acme": FOUND})


def test_arguments_are_those_of_the_manual() -> None:
    assert set(ARGUMENTS) == {"describe", "acquire", "refresh", "store"}
    assert all(callable(getattr(hooks, name)) for name in ARGUMENTS)
    assert ARGUMENTS["store"] == ("profile",)
