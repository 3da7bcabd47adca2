"""What would take long to parse is found before it is parsed; other files are not affected."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path
from unittest import mock

import pytest

from freshkey._config.toml_file import read
from freshkey._config.toml_limits import MAX_DEPTH, is_nested_too_deeply
from freshkey.errors import ConfigurationError
from raises_code import raises_code


SLOW = {
    "dots": "a" + ".a" * 40_000 + " = 1",
    "dots alone": "." * 80_000,
    "dots and blanks": "a" + " . a" * 20_000 + " = 1",
    "quoted parts": "a" + '."."' * 20_000 + " = 1",
    "literal parts": "a" + ".'x'" * 20_000 + " = 1",
    "header": "[" + "a." * 20_000 + "a]",
    "list of tables": "[[" + "a." * 20_000 + "a]]",
    "inline table": "x = { " + "a." * 20_000 + "a = 1 }",
    "inline table in a list": "x = [1,\n{" + "a." * 20_000 + "a = 1 }]",
    "after a string": 'x = """\n""" \n' + "a." * 40 + "a = 1",
    "brackets": "x = " + "[" * 10_000,
    "inline tables": "x = " + "{a=" * 10_000,
    "many long keys": "\n".join(f"{'a.' * 30}x{number} = 1" for number in range(3_000)),
    "keys below a long header": f"[{'a.' * 30}a]\n" + "\n".join(f"x{number}.b = 1" for number in range(20_000)),
    "long headers": "\n".join(f"[{'a.' * 30}x{number}]" for number in range(3_000)),
}
QUICK = {
    "depth of the limit": "a." * (MAX_DEPTH - 1) + "a = 1",
    "dots in a string": f'x = "{"." * 1000}"',
    "dots in a literal": f"x = '{'.' * 1000}'",
    "dots in long strings": f'x = """{"." * 1000}""""\ny = ' + f"'''{'.' * 1000}'''",
    "dots in a comment": "# " + "." * 1000 + "\nx = 1",
    "brackets in strings": f'x = "{"[" * 100}"\ny = """\n{"{" * 100}"""',
    "escaped quotes": 'x = "\\"' + "." * 100 + '"',
    "fractions": "x = [" + "1.5, " * 1000 + "]",
    "many headers": "\n".join(f"[profiles.p{number}.headers]\na = 1" for number in range(5_000)),
    "many lists of tables": "[[a]]\n" * 5_000,
    "header that is not closed": "[a\n" * 100,
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_what_would_take_long_is_refused_without_parsing_it(text: str, tmp_path: Path) -> None:  # NET-10
    file = tmp_path / ".freshkey.toml"
    file.write_bytes(text.encode())  # as it is: line endings of Windows would make one too large
    file.chmod(0o600)
    with mock.patch.object(tomllib, "loads") as parse, raises_code(ConfigurationError, "invalid-toml"):
        read(file)
    assert parse.call_count == 0


@pytest.mark.parametrize("text", QUICK.values(), ids=QUICK)
def test_other_files_are_not_affected(text: str) -> None:
    assert not is_nested_too_deeply(text)


def wrong(file: Path, text: str) -> str:
    file.write_text(text)
    file.chmod(0o600)
    with raises_code(ConfigurationError, "invalid-toml") as caught:
        read(file)
    return str(caught.value)


def test_a_line_of_escaped_quotes_is_searched_once(tmp_path: Path) -> None:  # NET-10
    """Each of them could begin a string that does not end: minutes, where one pass takes a fraction of a second."""
    began = time.process_time()
    assert "not valid TOML" in wrong(tmp_path / "config.toml", 'x = "' + '\\"' * 130_000)
    assert time.process_time() - began < 10.0


@pytest.mark.parametrize(
    "text",
    [
        '["sk-1234567890"]\n' * 2,
        "x = {sk-1234567890 = 1, sk-1234567890 = 2}",
        "[a]\nsk-1234567890.b = 1\n[a.sk-1234567890]",
    ],
)
def test_keys_in_the_parsers_messages_are_not_quoted(text: str, tmp_path: Path) -> None:  # NET-10
    said = wrong(tmp_path / "config.toml", text)
    assert "line" in said
    assert "1234567890" not in said
