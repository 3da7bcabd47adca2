"""Settings for one run: checked like those of a file, and no way in for a secret (LEK-4)."""

from __future__ import annotations

import pytest
from attrs import frozen

from freshkey._config.configuration import Configuration
from freshkey.errors import ConfigurationError
from freshkey.model.description import Description
from freshkey.secret import Secret
from typed_profile import typed


@frozen(kw_only=True)
class Settings:
    region: str = "here"
    retries: int = 3
    scopes: tuple[str, ...] = ()
    key: Secret | None = None

    def __attrs_post_init__(self) -> None:
        if self.region == "odd":
            raise ValueError(self.region)


PROVIDER = Description(title="A provider", settings=Settings, formats={}, sources=())


def settings(**overrides: object) -> object:
    """Return the settings of a bare provider's profile with these overrides."""
    return typed(Configuration.load({}, bare=True, overrides=overrides), "acme", PROVIDER).settings


def test_they_become_settings() -> None:
    assert settings(region="there", scopes=["a"]) == Settings(region="there", scopes=("a",))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"regoin": "there"}, "acme: --set: there is no setting 'regoin'. Did you mean 'region'?"),
        ({"store": "file"}, "acme: --set: there is no setting 'store'. Known names: key, region, retries, scopes"),
        ({"retries": "many"}, "acme: --set: 'retries' must be a whole number"),
        ({"region": "odd"}, "acme: --set: the provider does not accept these settings together"),
        (
            {"key": "canary-5be1"},
            (
                "acme: --set: 'key' is a secret, and others can read the arguments of a process. "
                "Write it into the configuration file"
            ),
        ),
    ],
)
def test_a_fault_names_the_option(overrides: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(**overrides)
    assert str(caught.value) == says
