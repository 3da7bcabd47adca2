"""Credentials to and from the text that a store keeps."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import field, frozen

from freshkey.errors import LoginRequired, PluginBroken, RecordUnreadable, frameless
from freshkey.model.credential import Credential
from freshkey.secret import Secret


if TYPE_CHECKING:
    from cattrs import Converter

SCHEMA: Final = 1


@frozen(eq=False)
class Codec:
    """Encodes and decodes the credential formats of one provider.

    A field with ``metadata={"stored": False}`` is left out and has its default afterwards.

    Attributes:
        formats: Tag to credential class, as in `Description.formats`.
        provider: Id of the provider; a credential of another one is not read.
    """

    formats: Mapping[str, type[Credential]]
    provider: str = field(default="", kw_only=True)

    @frameless
    def encode(self, credential: Credential) -> Secret:
        """Write a credential as text.

        Raises:
            PluginBroken: Its class is not among the formats, or it holds what cannot be written.
        """
        tag = {kind: tag for tag, kind in self.formats.items()}.get(type(credential))
        if tag is None:
            raise PluginBroken(f"{type(credential).__name__} is not among the provider's formats")
        with suppress(ValueError, TypeError):
            fields = _converter().unstructure(credential)
            envelope = {"schema": SCHEMA, "provider": self.provider, "format": tag, "fields": fields}
            return Secret(json.dumps(envelope, allow_nan=False))
        # Outside of the handler, as below.
        raise PluginBroken(f"a {type(credential).__name__} holds something that cannot be stored")

    @frameless
    def decode(self, payload: Secret) -> Credential:
        """Read what `encode` wrote.

        Raises:
            LoginRequired: It belongs to another provider: the profile was given a new one.
            RecordUnreadable: It is corrupt, or a newer version wrote it.
        """
        provider, tag, fields = _envelope(payload)
        if provider != self.provider:
            raise LoginRequired(f"the sign-in belongs to provider {provider!r}", hint="Sign in again to replace it")
        kind = self.formats.get(tag)
        if kind is None:
            raise RecordUnreadable(
                "the stored credential has a format that this version of the provider does not know",
                hint="Upgrade the provider; nothing was overwritten",
            )
        with suppress(Exception):  # validators of any provider run here
            return _converter().structure(fields, kind)
        # Outside of the handler: what was raised there may quote a field, and must not become the context.
        raise _corrupt()


def _envelope(payload: Secret) -> tuple[str, str, object]:
    """Return provider, tag and fields; the schema is judged before anything else, as all else may change with it."""
    value: Any = None
    with suppress(ValueError, RecursionError):  # not raised in a handler: a JSONDecodeError holds the text
        value = json.loads(payload.reveal())
    schema = value.get("schema") if isinstance(value, dict) else None
    if type(schema) is not int or schema < SCHEMA:
        raise _corrupt()
    if schema > SCHEMA:
        raise RecordUnreadable(
            "the stored credential was written by a newer freshkey",
            hint="Upgrade freshkey here; nothing was overwritten",
        )
    provider, tag = value.get("provider"), value.get("format")
    if not isinstance(provider, str) or not isinstance(tag, str) or "fields" not in value:
        raise _corrupt()
    return provider, tag, value["fields"]


def _corrupt() -> RecordUnreadable:
    return RecordUnreadable("the stored credential is corrupt", hint="Sign in again to replace it")


@functools.cache
def _converter() -> Converter:
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
    from cattrs.preconf.json import make_converter

    converter = make_converter(detailed_validation=False)

    def overrides(kind: type) -> dict[str, Any]:
        return {each.name: override(omit=True) for each in attrs.fields(kind) if not each.metadata.get("stored", True)}

    def reader(kind: type) -> Callable[[Any, Any], Any]:
        read: Callable[[Any], Any] = make_dict_structure_fn(kind, converter, **overrides(kind))
        return lambda value, _: read(_exactly(dict)(value))

    converter.register_structure_hook_factory(attrs.has, reader)
    converter.register_unstructure_hook_factory(
        attrs.has, lambda kind: make_dict_unstructure_fn(kind, converter, **overrides(kind))
    )
    converter.register_unstructure_hook(Secret, Secret.reveal)
    converter.register_structure_hook(Secret, lambda value, _: Secret(_exactly(str)(value)))
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, lambda value, _: float(_exactly(int, float)(value)))
    return converter


def _exactly(*kinds: type) -> Callable[..., Any]:
    """Refuse what JSON gave another type than was written: cattrs alone would turn 5 into "5"."""

    def check(value: Any, _: object = None) -> Any:  # noqa: ANN401  whatever JSON holds
        if type(value) not in kinds:
            raise TypeError
        return value

    return check
