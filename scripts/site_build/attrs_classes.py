"""Extension of griffe: a class of attrs is shown with the signature that attrs gives it.

griffe reads the source and runs nothing, and knows only the standard library's dataclasses. See docs/decisions.md, "The
reference learns from an extension of our own what attrs writes".
"""

from __future__ import annotations

from typing import Any, Final

import griffe


_CLASSES: Final = frozenset({"attrs.define", "attrs.frozen", "attrs.mutable"})
_POSITIONAL: Final = griffe.ParameterKind.positional_or_keyword
_KEYWORD: Final = griffe.ParameterKind.keyword_only


class AttrsClasses(griffe.Extension):
    """Gives each class of attrs its constructor."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:  # noqa: ANN401  as declared by griffe
        """Add the constructors, once every base class of the package is known."""
        for kind in _classes(pkg):
            if _decorator(kind) is not None and "__init__" not in kind.members:
                kind.set_member("__init__", _constructor(kind))


def _classes(within: griffe.Module | griffe.Class) -> list[griffe.Class]:
    own = [member for member in within.members.values() if isinstance(member, griffe.Module | griffe.Class)]
    return [
        *(member for member in own if isinstance(member, griffe.Class)),
        *(kind for member in own for kind in _classes(member)),
    ]


def _decorator(kind: griffe.Class) -> griffe.Expr | None:
    found = (each.value for each in kind.decorators if isinstance(each.value, griffe.Expr))
    return next((value for value in found if value.canonical_path in _CLASSES), None)


def _arguments(call: object) -> dict[str, str | griffe.Expr]:
    """Return the keyword arguments of a call."""
    given = call.arguments if isinstance(call, griffe.ExprCall) else ()
    return {each.name: each.value for each in given if isinstance(each, griffe.ExprKeyword)}


def _constructor(kind: griffe.Class) -> griffe.Function:
    """Return the constructor, with the fields of a class and its bases; a field declared again moves to the end."""
    fields: dict[str, griffe.Parameter] = {}
    for each in (*reversed(kind.mro()), kind):
        if (decorator := _decorator(each)) is not None:
            for parameter in _fields(each, _arguments(decorator).get("kw_only") == "True"):
                fields.pop(parameter.name, None)
                fields[parameter.name] = parameter
    ordered = sorted(fields.values(), key=lambda parameter: parameter.kind is _KEYWORD)
    parameters = griffe.Parameters(griffe.Parameter("self", kind=_POSITIONAL), *ordered)
    return griffe.Function("__init__", parameters=parameters, returns="None", parent=kind)


def _fields(kind: griffe.Class, keywords: bool) -> list[griffe.Parameter]:
    """Return the fields that a class itself declares, as arguments of its constructor."""
    parameters = []
    for member in kind.members.values():
        # A property and a ClassVar have other labels.
        if not isinstance(member, griffe.Attribute) or "instance-attribute" not in member.labels:
            continue
        about = _arguments(member.value) if _is_call(member.value, "attrs.field") else {}
        if member.annotation is None or about.get("init") == "False":
            continue
        parameters.append(
            griffe.Parameter(
                member.name.lstrip("_"),
                annotation=member.annotation,
                kind=_KEYWORD if keywords or about.get("kw_only") == "True" else _POSITIONAL,
                default=_default(member.value, about),
            )
        )
    return parameters


def _is_call(value: object, of: str) -> bool:
    return isinstance(value, griffe.ExprCall) and value.canonical_path == of


def _default(value: str | griffe.Expr | None, about: dict[str, str | griffe.Expr]) -> str | griffe.Expr | None:
    factory = about.get("factory")
    if isinstance(value, griffe.ExprCall) and _is_call(value, "attrs.Factory"):
        factory = value.arguments[0]
    if factory is not None:
        return griffe.ExprCall(factory, []) if isinstance(factory, griffe.Expr) else f"{factory}()"
    return _default(about.get("default"), {}) if _is_call(value, "attrs.field") else value
