"""Settings are checked when they are made, and what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import freshkey_oidc
from freshkey import Keeper
from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from freshkey_oidc.settings import OidcSettings
from raises_code import raises_code


ADDRESSES = [
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
]
FILE = Path("/token").absolute()


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("url", ["http://id.example.test", "id.example.test", "https://", "ftp://a.test"])
def test_address_must_be_https(name: str, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OidcSettings(**{name: url})  # type: ignore[arg-type]  # one of the addresses
    assert name in caught.value.message


@pytest.mark.parametrize("name", ADDRESSES)
def test_address_may_be_on_this_machine(name: str) -> None:
    url = "http://127.0.0.1:8080/x"
    settings = OidcSettings(**{name: url})  # type: ignore[arg-type]  # one of the addresses
    assert getattr(settings, name) == url


@pytest.mark.parametrize("name", ["client_secret_file", "private_key_file", "identity_token_file"])
def test_file_must_be_absolute(name: str) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        OidcSettings(**{name: Path("token")})  # type: ignore[arg-type]  # one of the files
    assert name in caught.value.message


@pytest.mark.parametrize(
    "name", ["client_secret_variable", "token_variable", "identity_token_variable", "environment_variable"]
)
@pytest.mark.parametrize("value", ["", "two words", "1ST", "A=B", "$TOKEN", "a" * 129, "Ä"])
def test_variable_must_have_the_name_of_one(name: str, value: str) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        OidcSettings(**{name: value})  # type: ignore[arg-type]  # one of the variables
    assert name in caught.value.message


LOADS_CODE = (
    *("PATH", "LD_AUDIT", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "GIT_SSH_COMMAND", "PROMPT_COMMAND", "NODE_PATH"),
    *("PYTHONUSERBASE", "GCONV_PATH", "PS4", "GIT_ASKPASS", "https_proxy", "FRESHKEY_STATE_DIR"),
)
LOADS_NONE = ("GITHUB_TOKEN", "NODE_AUTH_TOKEN", "PYPI_TOKEN", "PYTHON_TOKEN", "PATH_TOKEN", "token")


@pytest.mark.parametrize("name", LOADS_CODE)
def test_token_is_in_no_variable_from_which_programs_load_code(name: str) -> None:
    with raises_code(ConfigurationError, "invalid-setting"):
        OidcSettings(environment_variable=name)


@pytest.mark.parametrize("name", LOADS_NONE)
def test_token_may_be_in_any_other_variable(name: str) -> None:
    assert OidcSettings(environment_variable=name).environment_variable == name


@pytest.mark.parametrize("name", ["grant_type", "client_id", "refresh_token", "token", "scope", "client_assertion"])
def test_parameters_of_the_protocol_are_refused_before_a_sign_in(name: str) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        OidcSettings(token_parameters={"more": "a", name: "canary"})
    assert name in caught.value.message
    assert "canary" not in str(caught.value)
    OidcSettings(token_parameters={"requested_token_type": "a", "audience": "b", "scope_hint": "c"})


@pytest.mark.parametrize("host", ["https://a.test", "a.test/x", "a.test:443", "*.a.test"])
def test_host_must_be_a_host(host: str) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        OidcSettings(hosts=(host,))
    assert "hosts" in caught.value.message


def test_redirect_path_must_begin_with_a_slash() -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        OidcSettings(redirect_path="callback")
    assert "redirect_path" in caught.value.message


def test_secret_must_be_in_one_place() -> None:
    places: dict[str, Any] = {
        "client_secret": Secret("canary-secret"),
        "client_secret_variable": "APP_SECRET",
        "client_secret_file": FILE,
    }
    for left_out in places:
        two = {name: value for name, value in places.items() if name != left_out}
        with raises_code(ConfigurationError, "invalid-setting") as caught:
            OidcSettings(**two)
        assert "canary" not in str(caught.value)
    for name, value in places.items():
        assert OidcSettings(**{name: value}).confidential
    assert not OidcSettings().confidential


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, None),
        ({"identity_token_file": FILE}, "file"),
        ({"identity_token_variable": "JOB_TOKEN"}, "variable"),
        ({"identity_token_file": FILE, "identity_token_variable": "JOB_TOKEN"}, "file"),
        ({"identity_token": "github-actions"}, "github-actions"),
        ({"identity_token": "variable", "identity_token_file": FILE}, "variable"),
    ],
    ids=str,
)
def test_place_of_the_identity_token_follows_from_what_is_set(settings: dict[str, Any], place: str | None) -> None:
    assert OidcSettings(**settings).identity_source == place


def test_only_what_is_set_addresses_an_api() -> None:
    assert OidcSettings().addressed() == {}
    assert OidcSettings(audience=("a", "b")).addressed() == {"audience": ("a", "b")}
    both = OidcSettings(resource=("urn:x",), audience=("a",))
    assert both.addressed() == {
        "resource": ("urn:x",),
        "audience": ("a",),
    }


def test_secret_is_not_shown() -> None:
    assert "canary" not in repr(OidcSettings(client_secret=Secret("canary-secret")))


def test_settings_that_decide_where_secrets_go_bind_a_sign_in() -> None:
    unbound = {each.name for each in attrs.fields(OidcSettings) if each.metadata.get("bound") is False}
    assert not unbound & {"issuer", "client_id", "token_endpoint", "revocation_endpoint", "userinfo_endpoint", "hosts"}


@pytest.mark.parametrize(
    "table",
    [
        {"flow": "implicit"},
        {"key_algorithm": "none"},
        {"client_authentication": "tls_client_auth"},
        {"identity_token": "aws"},
        {"exchange": "saml"},
        {"redirect_host": "example.test"},
        {"token_fd": "three"},
        {"scopes": "openid"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_wrong_value_in_a_configuration_is_named(
    freshkey_keeper: Callable[..., Keeper], table: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        freshkey_keeper({"oidc": freshkey_oidc}, profiles={"me": {"provider": "oidc", **table}}).status("me")
    assert next(iter(table)) in str(caught.value)
