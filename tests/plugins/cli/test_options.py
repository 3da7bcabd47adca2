"""Options shared by several commands: KEY=VALUE overrides a setting for one run."""

from __future__ import annotations

import pytest

from freshkey_cli.options import read_override


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("region=there", "region", "there"),
        ('region="there"', "region", "there"),
        ("retries=5", "retries", 5),
        ("retries = 5", "retries", 5),
        ("lead=1.5", "lead", 1.5),
        ("on=true", "on", True),
        ('scopes=["a", "b"]', "scopes", ["a", "b"]),
        ('headers={X = "y"}', "headers", {"X": "y"}),
        ("url=https://example.com/?a=b", "url", "https://example.com/?a=b"),
        ("region=", "region", ""),
        ("region=[", "region", "["),
        ("region='a'\nother = 1", "region", "'a'\nother = 1"),
        ("region=" + "[" * 5000, "region", "[" * 5000),
        ("region=" + "9" * 5000, "region", "9" * 5000),
    ],
)
def test_value_is_toml_or_else_a_string(text: str, key: str, value: object) -> None:
    assert read_override(text) == (key, value)


@pytest.mark.parametrize("text", ["", "region", "=there", " =there"])
def test_override_without_key_or_equals_sign_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="KEY=VALUE"):
        read_override(text)


def test_a_value_of_thousands_of_dots_is_a_string() -> None:
    """NET-10: tomllib takes a time that grows with the square of their number."""
    value = "{a" + ".a" * 30_000 + " = 1}"
    assert read_override(f"key={value}") == ("key", value)
