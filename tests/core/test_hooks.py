"""The contract: four hooks, first answer wins, signatures that plugins must match."""

from __future__ import annotations

import inspect

import pluggy
import pytest

from freshkey import hooks


HOOKS = {
    "describe": ("profile", "credential"),
    "acquire": ("profile", "source", "interaction"),
    "refresh": ("profile", "credential", "reporter"),
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
def test_each_is_synchronous_and_its_first_answer_wins(hook: str) -> None:
    specification = getattr(manager().hook, hook).spec
    assert specification.opts["firstresult"]
    assert not inspect.iscoroutinefunction(specification.function)


def test_a_marked_function_is_found_under_the_name_of_the_project() -> None:
    class Plugin:
        @hooks.hookimpl
        def store(self) -> str:
            return "kept"

        def refresh(self) -> str:
            return "not marked"

    made = manager()
    made.register(Plugin())
    assert made.hook.store(profile=None) == "kept"
    assert made.hook.refresh(profile=None, credential=None, reporter=None) is None
