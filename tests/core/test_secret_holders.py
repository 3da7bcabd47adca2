"""No class of any distribution that holds a secret shows it when its object is shown or serialized (LEK-1)."""

from __future__ import annotations

import contextlib
import copyreg
import pickle
import pkgutil
import pprint
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import attrs
import pytest

import freshkey
import freshkey_bedrock
import freshkey_claude_oauth
import freshkey_cli
import freshkey_oidc
import freshkey_testing
import freshkey_vertex
from freshkey.secret import Secret
from promises import proves
from source_tree import imported


CANARY: Final = "canary-9b1d4e77aa02c3f8"

PACKAGES: Final = (
    *(freshkey, freshkey_bedrock, freshkey_claude_oauth, freshkey_cli, freshkey_oidc, freshkey_testing),
    freshkey_vertex,
)

SECRET_NAME: Final = re.compile(
    r"(?:.*_)?(?:token|key|secret|password|passphrase|verifier|code|payload|body|data|content|headers)s?"
)

HARMLESS: Final = frozenset(
    {
        # codes of errors
        *("Hints.error_code", "Hints.sign_in_code", "RenewalFailed.code", "SignInNeeded.code", "Unsaved.code"),
        *("Status.last_error_code", "Status.sign_in_code", "_Cause.code", "Answer.code", "Refusal.code"),
        # what the user reads, a fingerprint, an ID, the name of a setting
        *("DeviceCode.user_code", "RefreshIntent.token", "RoleKeys.access_key", "WrongValueError.key"),
    }
)
"""Fields with such a name that are no secrets."""


def classes() -> Iterator[type]:
    """Yield every attrs class that is defined in one of the packages."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__"):
                continue
            module = imported(found.name)
            for value in vars(module).values() if module else ():
                if isinstance(value, type) and value.__module__ == found.name and attrs.has(value):
                    yield value


ALL: Final = sorted(set(classes()), key=lambda kind: f"{kind.__module__}.{kind.__qualname__}")


def holds_secret(kind: type) -> bool:
    return any("Secret" in re.findall(r"\w+", str(field.type)) for field in attrs.fields(kind))


def full(kind: type) -> Any:
    """Return an object of the class, with a secret in each field for one; validators are not asked."""
    made: Any = object.__new__(kind)
    for field in attrs.fields(kind):
        value = Secret(CANARY) if "Secret" in re.findall(r"\w+", str(field.type)) else None
        object.__setattr__(made, field.name, value)
    return made


def slots(holder: object) -> dict[str, object]:
    names = [name for kind in type(holder).__mro__ for name in getattr(kind, "__slots__", ())]
    return {name: getattr(holder, name, None) for name in names}


def serializers(holder: Any) -> Iterator[Callable[[], object]]:
    """Yield the means of Python and attrs to show or serialize an object."""
    yield lambda: [repr(holder), str(holder), f"{holder}", pprint.pformat(holder)]
    yield lambda: attrs.asdict(holder)
    yield lambda: attrs.astuple(holder)
    yield lambda: vars(holder)
    yield lambda: slots(holder)
    yield lambda: holder.__getstate__()  # noqa: PLW0108  it may not be there
    yield lambda: object.__getstate__(holder)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield partial(pickle.dumps, holder, protocol)
        yield partial(type(holder).__dict__.get("__reduce_ex__", object.__dict__["__reduce_ex__"]), holder, protocol)
        yield partial(object.__dict__["__reduce_ex__"], holder, protocol)
    yield partial(copyreg.__dict__["_reduce_ex"], holder, 0)


HOLDERS: Final = [Secret, *(kind for kind in ALL if holds_secret(kind))]


@proves("LEK-1")
@pytest.mark.parametrize("kind", HOLDERS, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_no_means_of_python_shows_the_secret_of_a_class(kind: type) -> None:
    holder = Secret(CANARY) if kind is Secret else full(kind)
    for act in serializers(holder):
        found = None
        with contextlib.suppress(Exception):
            found = act()
        assert CANARY not in repr(found)
    with pytest.raises(Exception, match="pickle"):
        pickle.dumps(holder)


@proves("LEK-1")
def test_fields_with_plain_secrets_are_in_no_repr() -> None:
    shown = {
        f"{kind.__qualname__}.{field.name}"
        for kind in ALL
        if not kind.__module__.startswith("freshkey_testing")  # its server's tokens are made up
        for field in attrs.fields(kind)
        if SECRET_NAME.fullmatch(field.name.lstrip("_"))
        and re.search(r"\b(?:str|bytes|Mapping|dict|Any)\b", str(field.type))
        and field.repr
    }
    assert shown - HARMLESS == set()
