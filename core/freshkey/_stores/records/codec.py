"""Convert credentials to and from the text that is stored."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
from attrs import field, frozen

from freshkey._json import parse_record
from freshkey.errors import LoginRequired, PluginBroken, RecordUnreadable, frameless
from freshkey.model.credential import Credential
from freshkey.secret import Secret


if TYPE_CHECKING:
    from cattrs import Converter

SCHEMA: Final = 1


@frozen(eq=False)
class Codec:
    """Encodes and decodes the credential formats of one provider.

    A field with ``metadata={"stored": False}`` is not stored, and has its default value when the credential is read.

    Attributes:
        formats: Tag to credential class, as in `Description.formats`.
        provider: ID of the provider; credentials of other providers are rejected.
        owner: What an account is kept by (`Profile.key`: the profile's name and the hash of the account), for which
            other credentials are rejected; None for a profile without accounts, for which those of accounts are.
    """

    formats: Mapping[str, type[Credential]]
    provider: str = field(default="", kw_only=True)
    owner: str | None = field(default=None, kw_only=True)

    @frameless
    def encode(self, credential: Credential, *, bound: Mapping[str, Any] | None = None) -> Secret:
        """Encode a credential as text; `bound` is what its sign-in is bound to (`freshkey._renewal.binding`).

        Raises:
            PluginBroken: Its class is not in `formats`, or one of its values cannot be stored.
        """
        tag = {kind: tag for tag, kind in self.formats.items()}.get(type(credential))
        if tag is None:
            raise PluginBroken(
                f"{type(credential).__name__} is not in the provider's formats", code="plugin-formats-invalid"
            )
        with suppress(ValueError, TypeError):
            fields = _converter().unstructure(credential)
            envelope = {"schema": SCHEMA, "provider": self.provider, "format": tag, "fields": fields}
            if bound is not None:
                envelope["bound"] = bound
            if self.owner is not None:
                envelope["owner"] = self.owner
            text = json.dumps(envelope, allow_nan=False)
            parse_record(text)  # what is nested too deeply to be read must not be saved
            return Secret(text)
        # Outside the handler, as in `decode`.
        raise PluginBroken(
            f"{type(credential).__name__} has a value that cannot be stored", code="plugin-formats-invalid"
        )

    @frameless
    def decode(self, payload: Secret) -> Credential:
        """Decode the output of `encode`.

        Raises:
            LoginRequired: It belongs to another provider, because the profile's provider was changed, or to another
                account, because it was moved there.
            RecordUnreadable: It is corrupt, or was written by a newer version.
        """
        return self.decode_bound(payload)[0]

    @frameless
    def decode_bound(self, payload: Secret) -> tuple[Credential, Mapping[str, Any] | None]:
        """Like `decode`, with what the credential is bound to: None if an older version stored it."""
        provider, owner, tag, fields, bound = _envelope(payload)
        if provider != self.provider:
            raise LoginRequired(
                f"the stored sign-in belongs to provider {provider!r}",
                hint="Sign in again to replace it",
                code="sign-in-of-another-provider",
            )
        if owner != self.owner:
            raise LoginRequired(
                "the stored sign-in belongs to another account",
                hint="Sign in again to replace it",
                code="sign-in-of-another-account",
            )
        kind = self.formats.get(tag)
        if kind is None:
            raise RecordUnreadable(
                "this version of the provider does not support the format of the stored credential",
                hint="Upgrade the provider plugin; nothing was overwritten",
                code="record-too-new",
            )
        with suppress(Exception):  # runs validators of the provider, which may raise anything
            return _converter().structure(fields, kind), bound
        # Outside the handler: the suppressed exception may quote a secret, and must not become the context.
        raise _corrupt()


def _envelope(payload: Secret) -> tuple[str, str | None, str, object, dict[str, Any] | None]:
    """Return the parts of a payload, after checking the schema, because a newer one may change all the rest."""
    value: Any = None
    with suppress(ValueError):
        value = parse_record(payload.reveal())
    schema = value.get("schema") if isinstance(value, dict) else None
    if type(schema) is not int or schema < SCHEMA:
        raise _corrupt()
    if schema > SCHEMA:
        raise RecordUnreadable(
            "the stored credential was written by a newer version of freshkey",
            hint="Upgrade freshkey; nothing was overwritten",
            code="record-too-new",
        )
    provider, tag = value.get("provider"), value.get("format")
    bound, owner = value.get("bound"), value.get("owner")
    readable = (bound is None or _is_binding(bound)) and isinstance(owner, str | None)
    if not isinstance(provider, str) or not isinstance(tag, str) or "fields" not in value or not readable:
        raise _corrupt()
    return provider, owner, tag, value["fields"], bound


def _is_binding(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    settings, defaults, hosts = value.get("settings"), value.get("defaults", {}), value.get("hosts")
    if not isinstance(settings, dict) or not isinstance(defaults, dict):
        return False
    return isinstance(hosts, list) and all(isinstance(host, str) for host in hosts)


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
    """Refuse values of the wrong JSON type: cattrs by default would turn 5 into "5"."""

    def check(value: Any, _: object = None) -> Any:  # noqa: ANN401  any JSON value
        if type(value) not in kinds:
            raise TypeError
        return value

    return check
