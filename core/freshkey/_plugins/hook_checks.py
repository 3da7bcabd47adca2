"""Finds mistakes in the hooks of a plugin when it is loaded: each is a sentence that says what to change."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from freshkey import hooks
from freshkey.errors import closest, suggestion


CONTRACT_NAME: Final = "FRESHKEY_CONTRACT"
"""What a plugin's module calls the version of the contract that it was made for; missing means 1."""

Flaw = tuple[str, str]
"""What is wrong with a plugin, to follow its name, and what its author can do."""

ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(inspect.signature(getattr(hooks, name)).parameters)
    for name in ("describe", "acquire", "refresh", "store")
}
"""The hooks, and the arguments that each may take."""

_MISSING: Final = object()
_PASSED: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_MARK_IT: Final = "Put @hookimpl above it (from freshkey.plugin import hookimpl)"


def contract_of(plugin: object, module: str | None = None) -> object:
    """Return the version of the contract that a plugin says it was made for: a whole number, if it is right.

    Args:
        plugin: A module, or an object with hooks.
        module: Name of the module that its entry point names, if it has one.
    """
    for place in (plugin, sys.modules.get(module or ""), sys.modules.get(type(plugin).__module__)):
        try:
            value = getattr(place, CONTRACT_NAME, _MISSING)
        except Exception:  # noqa: BLE001, S112  a module may answer for every name, and fail; the checks of hooks say so
            continue
        if value is not _MISSING:
            return value
    return 1


def flaw_of_contract(plugin: object, module: str | None) -> Flaw | None:
    """Return what is wrong with the version of a plugin's contract: it is not one, or newer than this freshkey."""
    version = contract_of(plugin, module)
    if type(version) is not int or version < 1:
        return (
            f"has a {CONTRACT_NAME} that is not a whole number from 1",
            f"Write {CONTRACT_NAME} = {hooks.CONTRACT} in its module",
        )
    if version > hooks.CONTRACT:
        return (
            f"was made for contract {version} of freshkey, and this freshkey has contract {hooks.CONTRACT}",
            f"Upgrade freshkey, or install a version of the plugin that was made for contract {hooks.CONTRACT}",
        )
    return None


def flaw_of_hooks(plugin: object, *, wraps: bool) -> Flaw | None:
    """Return the first mistake in the hooks of a plugin, or None.

    Args:
        plugin: A module, or an object with hooks.
        wraps: Whether it is an observer, whose hooks wrap those of others.
    """
    marked = dict(_marked(plugin))
    if inspect.isclass(plugin) and any(_needs_instance(plugin, name) for name in marked):
        return (
            f"is the class {plugin.__name__}, whose hooks need an instance",
            f"Name an instance in the entry point: plugin = {plugin.__name__}() in its module, and module:plugin",
        )
    for name, (function, options) in marked.items():
        hook = options.get("specname") or name
        if hook.startswith("_"):
            continue  # never called by that name: one function may stand for several hooks (describe = store = _watch)
        if flaw := _flaw_of_function(hook, function, options, wraps=wraps):
            return flaw
    implemented = {options.get("specname") or name for name, (_, options) in marked.items()}
    unmarked = (hook for hook in ARGUMENTS if hook not in implemented and _looks_like(plugin, hook))
    if not wraps and (hook := next(unmarked, None)):
        return f"has a function {hook!r} that is not marked as a hook", _MARK_IT
    return None


def hint_for_missing(plugin: object, hook: str) -> str:
    """Return what its author can do about a hook that a plugin lacks."""
    if not isinstance(plugin, ModuleType) and type(plugin).__module__ == "builtins":
        return (
            f"Its entry point names a {type(plugin).__name__}: name a module that has the hooks, or an object in a"
            " module (module:object)"
        )
    functions = {name for name in _names(plugin) if inspect.isroutine(_get(plugin, name))} - {*ARGUMENTS}
    if near := closest(hook, functions):
        return f"Did you mean {hook!r} by the function {near!r}? Rename it, and put @hookimpl above it"
    return "Mark each function with freshkey.hookimpl"


def _marked(plugin: object) -> Iterator[tuple[str, tuple[Callable[..., object], dict[str, Any]]]]:
    """Yield the functions that are marked as hooks, by name, with the options of the mark."""
    for name in _names(plugin):
        function = _get(plugin, name)
        options = getattr(function, f"{hooks.PROJECT}_impl", None) if inspect.isroutine(function) else None
        if isinstance(options, dict):
            yield name, (function, options)


def _names(plugin: object) -> list[str]:
    try:
        return dir(plugin)
    except Exception:  # noqa: BLE001  a plugin's object
        return []


def _get(plugin: object, name: str) -> Any:  # noqa: ANN401  whatever it is
    try:
        return getattr(plugin, name, None)
    except Exception:  # noqa: BLE001  a property of a plugin's object
        return None


def _needs_instance(kind: type, name: str) -> bool:
    return inspect.isfunction(inspect.getattr_static(kind, name, None))


def _looks_like(plugin: object, hook: str) -> bool:
    """Return whether a function is named like a hook, and takes what only a hook is given."""
    function = _get(plugin, hook)
    if not inspect.isroutine(function) or getattr(function, "__module__", None) == hooks.__name__:
        return False
    names = {name for name in _parameters(function) if name != "self"}
    return bool(names) and names <= {*ARGUMENTS[hook]}


def _parameters(function: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a builtin
        return {}


def _flaw_of_function(
    hook: str, function: Callable[..., object], options: Mapping[str, object], *, wraps: bool
) -> Flaw | None:
    if hook not in ARGUMENTS:
        return (
            None
            if options.get("optionalhook")
            else (f"implements the unknown hook {hook!r}", suggestion(hook, ARGUMENTS))
        )
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"implements the hook {hook!r} with async def", "Make it a plain function: hooks are synchronous"
    is_wrapper = bool(options.get("wrapper") or options.get("hookwrapper"))
    if is_wrapper and not inspect.isgeneratorfunction(function):
        what = f"wraps the hook {hook!r} with a function that is not a generator function"
        return what, "Give it a yield, which stands for the call of the hook"
    if not (is_wrapper or wraps) and inspect.isgeneratorfunction(function):
        return f"implements the hook {hook!r} with a generator function", "Return the result instead of yielding it"
    flaws = (_flaw_of_argument(hook, name, each) for name, each in _parameters(function).items())
    return next(filter(None, flaws), None)


def _flaw_of_argument(hook: str, name: str, parameter: inspect.Parameter) -> Flaw | None:
    takes = f"The arguments of {hook} are: {', '.join(ARGUMENTS[hook])}"
    if parameter.kind not in _PASSED:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is inspect.Parameter.empty:
            return f"takes the argument {name!r} of its hook {hook!r} by keyword only", "Remove the * before it"
        return None
    if name not in ARGUMENTS[hook]:
        if parameter.default is not inspect.Parameter.empty:
            return None  # never passed, and never missed
        what = f"takes an unknown argument {name!r} in its hook {hook!r}"
        best = closest(name, ARGUMENTS[hook])
        return what, f"Did you mean {best!r}? {takes}" if best else f"Remove it. {takes}"
    if parameter.default is not inspect.Parameter.empty:
        what = f"gives the argument {name!r} of its hook {hook!r} a default, so that it would never be passed"
        return what, "Remove the default: freshkey passes every argument that a hook takes"
    return None
