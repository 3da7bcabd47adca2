"""Overrides for a single run: checked like those of a file, and secrets are rejected (LEK-4)."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve, frozen

from freshkey._config.configuration import Configuration
from freshkey.errors import ConfigurationError
from freshkey.model.description import Description
from freshkey.secret import Secret
from raises_code import raises_code
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
    """Return the settings of a provider without a profile, with these overrides."""
    return typed(Configuration.load({}, bare=True, overrides=overrides), "acme", PROVIDER).settings


def test_overrides_become_settings() -> None:
    assert settings(region="there", scopes=["a"]) == Settings(region="there", scopes=("a",))


def test_the_redirect_port_can_be_overridden() -> None:
    overrides = {"redirect_port": 8086, "region": "there"}
    profile = typed(Configuration.load({}, bare=True, overrides=overrides), "acme", PROVIDER)

    assert profile.redirect_port == 8086
    assert profile.settings == Settings(region="there")


@pytest.mark.parametrize("allowed", [True, False])
def test_http_on_this_machine_can_be_overridden(tmp_path: Path, *, allowed: bool) -> None:
    table = {"provider": "acme", "allow_insecure_loopback": not allowed}
    configuration = Configuration.of({"acme": table}, state_dir=tmp_path)
    changed = evolve(configuration, overrides={"allow_insecure_loopback": allowed})

    assert typed(configuration, "acme", PROVIDER).allow_insecure_loopback is not allowed
    assert typed(changed, "acme", PROVIDER).allow_insecure_loopback is allowed


@pytest.mark.parametrize(
    ("overrides", "code", "facts"),
    [
        ({"regoin": "there"}, "unknown-setting", ["'regoin'", "'region'"]),
        ({"store": "file"}, "unknown-setting", ["'store'", "key, region, retries, scopes"]),
        ({"redirect_port": 0}, "invalid-setting", ["'redirect_port'", "1024 to 65535"]),
        ({"redirect_port": "8085"}, "invalid-setting", ["'redirect_port'", "1024 to 65535"]),
        ({"allow_insecure_loopback": "true"}, "invalid-setting", ["'allow_insecure_loopback'", "true or false"]),
        ({"region": "http://127.0.0.1/x"}, "invalid-url", ["'region'", "allow_insecure_loopback = true"]),
        ({"retries": "many"}, "invalid-setting", ["'retries'", "whole number"]),
        ({"region": "odd"}, "invalid-setting", ["combination"]),
        ({"key": "canary-5be1"}, "secret-on-command-line", ["'key'", "configuration file"]),
    ],
)
def test_error_names_the_option_and_the_key(overrides: dict[str, object], code: str, facts: list[str]) -> None:
    with raises_code(ConfigurationError, code) as caught:
        settings(**overrides)
    for fact in ("acme: --set: ", *facts):
        assert fact in str(caught.value)
    assert "canary-5be1" not in str(caught.value)
