"""What validators and converters of a provider's settings class say: their sentence, the key, and never the value."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import field, frozen, validators

from freshkey._config.configuration import Configuration
from freshkey._config.provider_settings import WrongValueError, structure
from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from raises_code import raises_code


CANARY = "canary-9b1d4e77aa02c3f8"


def https_only(_settings: object, _attribute: attrs.Attribute[str], value: str) -> None:
    if not value.startswith("https://"):
        raise ValueError(f"the address must begin with https://, and {value!r} does not.")


def of_two_parts(value: str) -> str:
    left, dot, right = value.partition(".")
    if not (left and dot and right):
        raise TypeError(f"a tenant has two parts, such as acme.eu, but this is {value}")
    return value


def of_address(text: str) -> str:
    return str(ipaddress.ip_address(text))


@frozen(kw_only=True)
class Inner:
    size: int = field(default=1, validator=validators.ge(1))
    url: str = field(default="https://", validator=https_only)


@frozen(kw_only=True)
class Settings:
    url: str = field(default="https://example.com", validator=https_only)
    maybe: str | None = field(default=None, validator=validators.optional(https_only))
    tenant: str = field(default="acme.eu", converter=of_two_parts)
    address: str = field(default="::1", converter=of_address)
    pin: Secret | None = field(default=None)
    port: int = field(default=1, validator=[validators.ge(1), validators.le(65535)])
    word: str = field(default="ab", validator=validators.matches_re("[a-z]+"))
    short: str = field(default="", validator=validators.max_len(3))
    kind: Any = field(default="", validator=validators.instance_of(str))
    either: str = field(default="a", validator=validators.or_(validators.in_(["a"]), validators.in_(["b"])))
    inner: Inner = Inner()
    both: str = ""

    @pin.validator
    def _check_pin(self, _attribute: attrs.Attribute[Secret | None], value: Secret | None) -> None:
        if value is not None and not value.reveal().isdigit():
            raise ValueError(f"a PIN has only digits, unlike {value.reveal()}")

    def __attrs_post_init__(self) -> None:
        if self.both and not self.url.endswith("/"):
            raise ValueError(f"both needs a url that ends with a slash, not {self.url}")


SENTENCES = {
    "url": (f"http://{CANARY}", "the address must begin with https://, and [redacted] does not"),
    "maybe": ("ftp", "the address must begin with https://, and [redacted] does not"),
    "tenant": (CANARY, "a tenant has two parts, such as acme.eu, but this is [redacted]"),
    "address": (CANARY, "[redacted] does not appear to be an IPv4 or IPv6 address"),
    "pin": (CANARY, "a PIN has only digits, unlike [redacted]"),
    "inner": ({"url": CANARY}, "the address must begin with https://, and [redacted] does not"),
}


@pytest.mark.parametrize("key", SENTENCES)
def test_own_sentence_is_shown_with_the_key_and_without_the_value(key: str) -> None:
    value, sentence = SENTENCES[key]
    with pytest.raises(WrongValueError) as caught:
        structure(Settings, {key: value})
    assert (caught.value.key, caught.value.sentence) == (key, sentence)
    assert CANARY not in str(caught.value)


ALLOWED = {
    "port": (70000, "at most 65535"),
    "word": (CANARY, "text that matches [a-z]+"),
    "short": (CANARY, "at most 3 long"),
    "kind": (7, "a string"),
    "either": (CANARY, "a value that the provider accepts"),
}


@pytest.mark.parametrize("key", ALLOWED)
def test_what_validators_of_attrs_allow_is_said_in_words(key: str) -> None:
    value, expected = ALLOWED[key]
    with pytest.raises(WrongValueError) as caught:
        structure(Settings, {key: value})
    assert (caught.value.key, caught.value.expected, caught.value.sentence) == (key, expected, None)
    assert CANARY not in str(caught.value)


def test_sentence_about_several_settings_names_no_key() -> None:
    with pytest.raises(WrongValueError) as caught:
        structure(Settings, {"url": f"https://{CANARY}", "both": "x"})
    assert caught.value.key is None
    assert caught.value.sentence == "both needs a url that ends with a slash, not [redacted]"


@pytest.mark.parametrize("error", [ValueError(), ValueError(3), KeyError("a sentence"), ValueError(CANARY)])
def test_without_a_sentence_nothing_is_quoted(error: Exception) -> None:
    def refuse(_settings: object, _attribute: object, _value: object) -> None:
        raise error

    @frozen
    class Odd:
        a: str = field(default="", validator=refuse)

    with pytest.raises(WrongValueError) as caught:
        structure(Odd, {"a": CANARY})
    assert (caught.value.key, caught.value.sentence) == ("a", None)


def test_message_has_file_and_line_or_the_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[profiles.me]\nprovider = "example"\ntenant = "acme"\n', "utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", str(tmp_path))
    configuration = Configuration.load()
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        configuration.table("me").settings(Settings, {})
    assert caught.value.message.startswith(f"{path}, line 3: 'tenant': a tenant has two parts, such as ")
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        configuration.table("me").settings(Settings, {"tenant": "a.b", "url": "http://x"})
    assert caught.value.message == "--set: 'url': the address must begin with https://, and [redacted] does not"
