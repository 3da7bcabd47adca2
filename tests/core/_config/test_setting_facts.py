"""What is shown of a provider's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs
from attrs import field, frozen

from freshkey._config.setting_facts import setting_facts
from freshkey.secret import Secret


KEY = Secret("not-shown")


@frozen(kw_only=True)
class Base:
    """Settings of every kind.

    Attributes:
        region: Where it is; overrides ``REGION``
            and the like.

    Not: part of it.
    """

    region: str = "eu"


@frozen(kw_only=True)
class Settings(Base):
    flow: Literal["a", "b"] = "a"
    scopes: tuple[str, ...] = ("x",)
    extra: dict[str, str] = field(factory=dict)
    made: str = field(default=attrs.Factory(lambda self: self.region, takes_self=True))
    key: Secret | None = KEY
    place: Path = Path("/run/token")
    odd: object = object()
    on: bool = True


def test_types_defaults_and_what_the_docstring_says() -> None:
    facts = {each.name: (each.type, each.default, each.about) for each in setting_facts(Settings)}
    assert facts["region"] == ("a string", '"eu"', "Where it is; overrides REGION and the like.")
    assert facts["flow"] == ("one of: a, b", '"a"', "")
    assert facts["scopes"] == ("a list of strings", '["x"]', "")
    assert facts["extra"][1] == "{}"
    assert facts["place"][1] == '"/run/token"'
    assert facts["on"][1] == "true"
    assert [facts[name][1] for name in ("made", "key", "odd")] == [None, None, None]
