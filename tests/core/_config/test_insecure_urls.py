"""Settings with an unencrypted URL of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

from freshkey import Configuration
from freshkey._config.insecure_urls import insecure_setting
from freshkey.errors import ConfigurationError
from freshkey.model.description import Description
from raises_code import raises_code
from typed_profile import typed


@frozen(kw_only=True)
class Settings:
    token_url: str | None = None
    agent_url: str = "http://127.0.0.1:8200"
    page_url: str | None = field(default=None, metadata={"bound": False})
    retries: int = 3


PROVIDER = Description(title="A provider", settings=Settings, formats={}, sources=())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/token", "http://localhost/", "HTTP://LOCALHOST/", "http://[::1]/"]
)
def test_an_http_url_of_this_machine_is_found(url: str) -> None:
    assert insecure_setting(Settings(token_url=url)) == "token_url"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(token_url="https://127.0.0.1/token"),
        Settings(token_url="http://id.example/token"),  # for the provider to refuse
        Settings(token_url="http://[broken"),
        Settings(token_url="127.0.0.1"),
        Settings(page_url="http://127.0.0.1/page"),
        None,
    ],
    ids=repr,
)
def test_nothing_else_is(settings: object) -> None:
    assert insecure_setting(settings) is None


def test_the_error_names_the_line_and_the_permission_ends_it(tmp_path: Path) -> None:
    def opened(**more: Any) -> object:
        table = {"provider": "acme", "token_url": "http://127.0.0.1/token", **more}
        return typed(Configuration.of({"me": table}, state_dir=tmp_path), "me", PROVIDER).settings

    with raises_code(ConfigurationError, "invalid-url") as caught:
        opened()
    assert "token_url" in str(caught.value)
    assert "allow_insecure_loopback" in str(caught.value.hint)
    assert opened(allow_insecure_loopback=True) == Settings(token_url="http://127.0.0.1/token")
