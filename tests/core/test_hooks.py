"""The contract: four hooks, the first result counts, and signatures that plugins must match."""

from __future__ import annotations

import inspect

import pluggy
import pytest

from freshkey import hooks


HOOKS = {
    "describe": ("profile", "credential"),
    "acquire": ("profile", "source", "interaction"),
    "refresh": ("profile", "credential", "reporter", "reason"),
    "store": ("profile",),
}


def manager() -> pluggy.PluginManager:
    made = pluggy.PluginManager(hooks.PROJECT)
    made.add_hookspecs(hooks)
    return made


def test_there_are_four_hooks_with_these_arguments() -> None:
    specified = {
        name: tuple(inspect.signature(function).parameters)
        for name, function in inspect.getmembers(hooks, inspect.isfunction)
        if function.__module__ == hooks.__name__
    }
    assert specified == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_are_synchronous_and_their_first_result_counts(hook: str) -> None:
    specification = getattr(manager().hook, hook).spec
    assert specification.opts["firstresult"]
    assert not inspect.iscoroutinefunction(specification.function)


def test_only_marked_functions_are_hooks() -> None:
    class Plugin:
        @hooks.hookimpl
        def store(self) -> str:
            return "kept"

        def refresh(self) -> str:
            return "not marked"

    made = manager()
    made.register(Plugin())
    assert made.hook.store(profile=None) == "kept"
    assert made.hook.refresh(profile=None, credential=None, reporter=None, reason=None) is None
