"""Says why a plugin cannot be imported, to its user and to its author; loaded only when one cannot."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final, Protocol

from freshkey._plugins.outgoing_text import redactor
from freshkey._text.tracebacks import HINT, add_note, traceback_note
from freshkey.errors import PluginBroken, closest, describe_raise


_OURS: Final = Path(__file__).parents[1]


class Installed(Protocol):
    """What is known of an installed plugin, such as `discovery.Found`."""

    @property
    def name(self) -> str:
        """Name of its entry point."""

    @property
    def module(self) -> str:
        """The module, or object in a module, to import."""

    @property
    def distribution(self) -> str:
        """Name of the installed distribution."""

    @property
    def entry(self) -> str:
        """The entry point, as its author wrote it."""


def not_importable(error: BaseException, reached: object, plugin: Installed, called: str) -> PluginBroken:
    """Return the error for a plugin that cannot be imported.

    Args:
        error: What was raised.
        reached: The last object on the way that its entry point names; None if its module was not imported.
        plugin: Its metadata.
        called: Its name in messages.
    """
    module, _, path = plugin.module.partition(":")
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        what = (
            f"cannot load {called}: its entry point {plugin.entry} names the module {error.name}, which does not exist"
        )
        hint = f"Reinstall {plugin.distribution}. As its author, correct the entry point in pyproject.toml"
        return _broken(what, hint, plugin)
    if (
        reached is not None
        and isinstance(error, AttributeError)
        and error.obj is reached
        and error.name in path.split(".")
    ):
        what = (
            f"cannot load {called}: its entry point {plugin.entry} names {error.name!r}, which {module} does not have"
        )
        near = closest(error.name, [name for name in dir(reached) if not name.startswith("_")])
        meant = f"Did you mean {near!r}? " if near else ""
        hint = f"{meant}Correct the entry point in pyproject.toml, and install {plugin.distribution} again"
        return _broken(what, hint, plugin)
    note = traceback_note(error, redactor(error))
    hint = f"Update or uninstall {plugin.distribution}"
    if isinstance(error, ImportError) and str(error.name).partition(".")[0] == "freshkey":
        hint = f"Upgrade freshkey, or update {plugin.distribution}"
    hint = hint if note else f"{hint}. {HINT}"
    failure = _broken(f"cannot import {called} ({_reason(error)})", hint, plugin)
    add_note(failure, note)
    return failure


def _broken(message: str, hint: str, plugin: Installed) -> PluginBroken:
    return PluginBroken(message, plugin=plugin.name, hint=hint, code="plugin-not-loadable")


def _reason(error: BaseException) -> str:
    """Return the class and place of an exception: the deepest in the plugin, or in a library that is not freshkey."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__} in {Path(error.filename).name}, line {error.lineno}"
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    theirs = [(name, line) for name, line in frames if not name.startswith("<frozen ") and not _is_ours(name)]
    where = f"{type(error).__name__} in {Path(theirs[-1][0]).name}, line {theirs[-1][1]}" if theirs else ""
    reason = where or describe_raise(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        reason = f"missing module {error.name!r}: {reason}"
    return reason


def _is_ours(name: str) -> bool:
    return Path(name).is_relative_to(_OURS)
