"""Any configuration file, environment or helper output gives a valid value, or an error that quotes nothing."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs import frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freshkey._commands.helper import MAX_OUTPUT, read_helper_json, run_helper
from freshkey._config.configuration import Configuration
from freshkey._config.toml_file import line_of, read
from freshkey._secret_input.env_var import environment_secret
from freshkey.errors import ConfigurationError, FreshkeyError, ProtocolError
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.secret import MAX_TOKEN, Secret
from promises import proves
from quoting import CANARIES, everything_said, outcome, quotes
from runnable import python
from typed_profile import typed


FIXED = settings(derandomize=True, database=None, max_examples=150, deadline=None)


@frozen(kw_only=True)
class Settings:
    client_id: str | None = None
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.Factory(dict)
    port: int = 0
    ratio: float = 0.0
    strict: bool = False
    key: Secret | None = None


PROVIDER = Description(title="A provider", settings=Settings, formats={}, sources=())

# --- configuration files -------------------------------------------------------------------------------------------

LINES = st.sampled_from(
    ["[profiles.me]", "[profiles.other]", "[stores.file]", "[[profiles]]", "[profiles", "lead = 60", "lead = nan"]
)
MORE_LINES = st.sampled_from(
    ["store = 'file'", "store = 3", "default = 'me'", "default = ''", "observers = ['a']", "observers = 'a'"]
)
ODD_LINES = st.sampled_from(
    [
        'key = "CANARY',
        'key = """',
        "key = CANARY",
        "key = 0x",
        "key = 1979-13-45",
        "CANARY",
        "= 'x'",
        "a.b.c = 1",
        "\x00",
        "#",
    ]
)
TEXTS = st.lists(LINES | MORE_LINES | ODD_LINES, max_size=6).map("\n".join)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configuration")
    folder.chmod(0o700)
    path = folder / "config.toml"
    path.touch(0o600)
    return path


@proves("FAULT-57", "TRU-1")
@FIXED
@given(content=st.binary(max_size=40) | TEXTS.map(str.encode), name=st.sampled_from(["me", "other", "missing"]))
@example(content=b"a = " + b"9" * 5000, name="me")
@example(content=b"a = 1e" + b"9" * 5000, name="me")
@example(content=b"a = " + b"[" * 50_000, name="me")
@example(content=b"a." * 2_000 + b"a = 1", name="me")
@example(content=b"\xef\xbb\xbfdefault = 'me'", name="me")
@example(content=b"[profiles.me]\nlead = 99999999999999999999999999999999", name="me")
@example(content=b"[profiles.me]\nport = 1" + b"0" * 4000, name="me")
def test_any_file_is_a_valid_configuration_or_an_error_that_names_it(file: Path, content: bytes, name: str) -> None:
    file.write_bytes(content)
    configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": str(file.parent), "FRESHKEY_STATE_DIR": "/nowhere"})

    found = outcome(lambda: typed(configuration, name, PROVIDER))

    if isinstance(found, ConfigurationError):
        assert file.name in str(found)
        assert "CANARY" not in str(found)
        assert found.__cause__ is None
    else:
        assert isinstance(found, Profile)
        assert (found.name, isinstance(found.settings, Settings)) == (name, True)
        assert found.lead is None or 0 < found.lead < float("inf")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just("CANARY"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)
KEYS = ["provider", "store", "source", "lead", "client_id", "scopes", "headers", "port", "ratio", "strict", "key"]


def replaced(value: Any, canary: str) -> Any:
    return json.loads(json.dumps(value).replace("CANARY", canary))


@proves("FAULT-60", "LEK-1")
@FIXED
@given(
    table=st.dictionaries(st.sampled_from(KEYS[4:]), VALUES, min_size=1, max_size=3),
    canary=CANARIES,
    misspelled=st.booleans(),
)
def test_no_error_quotes_a_setting(table: dict[str, object], canary: str, misspelled: bool) -> None:
    """Settings of a provider can be secret."""
    table = replaced({**table, **({"clientid": "CANARY"} if misspelled else {})}, canary)
    configuration = Configuration.of({"me": table}, state_dir=Path("/nowhere"))

    found = outcome(lambda: typed(configuration, "me", PROVIDER))

    if isinstance(found, FreshkeyError):
        assert isinstance(found, ConfigurationError)
        assert found.profile == "me"
        assert not quotes(f"{found} {found!r} {found.hint} {found.__cause__!r}", canary)
    else:
        assert isinstance(found, Profile)
        assert not misspelled
        assert not quotes(repr(found.settings.key), canary)  # type: ignore[attr-defined]  # has our settings class


@proves("FAULT-57", "TRU-1")
@FIXED
@given(
    mine=st.dictionaries(st.sampled_from(KEYS[4:6]), st.just("x") | st.just(["a"]), max_size=2),
    theirs=st.dictionaries(st.sampled_from(KEYS[1:]), st.sampled_from(["x", 1, True, ["a"], {"a": "b"}]), max_size=4),
)
def test_profiles_do_not_affect_each_other(mine: dict[str, object], theirs: dict[str, object]) -> None:
    """A profile means the same with or without another profile, whatever that one's table contains."""

    def meant(tables: Mapping[str, Mapping[str, object]]) -> object:
        return outcome(lambda: typed(Configuration.of(tables, state_dir=Path("/nowhere")), "me", PROVIDER))

    alone, beside = meant({"me": mine}), meant({"me": mine, "other": theirs})
    if isinstance(alone, FreshkeyError):
        assert str(beside) == str(alone)
    else:
        assert beside == alone


@FIXED
@given(st.text("[]{}=\"'a.b\n#, 1", max_size=40), st.lists(st.sampled_from(["a", "b", "1", ""]), max_size=3).map(tuple))
def test_line_of_a_key_is_within_the_text_or_none(text: str, keys: tuple[str, ...]) -> None:
    line = line_of(text, keys)
    assert line is None or 1 <= line <= text.count("\n") + 1


def test_finding_the_line_of_a_key_takes_limited_time(file: Path) -> None:
    """Without an exact line, the file is still named."""
    file.write_text("[profiles.me]\nscopes = [\n" + '["a"],\n' * 8_000 + "]\nport = 'x'\n")
    began = time.process_time()
    document = read(file)
    assert document.where("profiles", "me", "port") == f"{file}, line 1"
    assert time.process_time() - began < 10.0


# --- environment variables -----------------------------------------------------------------------------------------


@proves("FAULT-42", "LEK-1")
@FIXED
@given(
    st.text(max_size=20)
    | CANARIES
    | CANARIES.flatmap(
        lambda text: st.sampled_from([f"{text}\n", f"{text}\r\n", f" {text}", f"{text}\0", f"{text}\n\n"])
    )
)
@example("x" * MAX_TOKEN)
@example("x" * (MAX_TOKEN + 1))
@example("\udc80abcdef12345678")
def test_secret_from_the_environment_is_valid_in_a_header(value: str) -> None:
    found = outcome(lambda: environment_secret("SOME_KEY", {"SOME_KEY": value}))
    if isinstance(found, Secret):
        assert found.reveal() in {value, value[:-1], value[:-2]}
        assert all("!" <= character <= "~" for character in found.reveal())
        assert 0 < len(found.reveal()) <= MAX_TOKEN
    elif found is not None:
        assert isinstance(found, ConfigurationError)
        assert "SOME_KEY" in str(found)
        assert len(value) < 8 or not quotes(everything_said(found), value)
    else:
        assert not value.strip("\r\n")


# --- helper commands -----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab\r\n\0\u2028", max_size=4) | CANARIES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\r\n\0", max_size=2), inner, max_size=3),
    max_leaves=5,
)
VERSIONS = st.sampled_from([1, 1, 1, 1, 2, 0, -1, 1.0, True, "1", None])


def holds_a_break(value: object) -> bool:
    return any(escape in json.dumps(value) for escape in ("\\r", "\\n", "\\u0000"))


@proves("FAULT-58", "TRU-3")
@FIXED
@given(facts=st.dictionaries(st.text("ab", max_size=3), JSON, max_size=4), version=VERSIONS, canary=CANARIES)
def test_helper_output_is_accepted_if_no_value_contains_a_line_break(
    facts: dict[str, Any], version: object, canary: str
) -> None:
    printed = json.dumps({**facts, "token": canary, "version": version})
    found = outcome(lambda: read_helper_json(Secret(printed), "my-helper"))
    if type(version) is int and version == 1 and not holds_a_break(facts):
        assert found == {**facts, "token": canary}
    else:
        assert isinstance(found, ProtocolError)
        assert not quotes(everything_said(found), canary)
        assert "my-helper" in str(found)


@proves("FAULT-58", "TRU-3")
@FIXED
@given(
    CANARIES,
    st.sampled_from(["{}", "[]", '{{"version": 1, "a": "', '{{"version": 1}} ', "\ufeff{{}}", "\ud800", "[" * 9999]),
)
def test_helper_output_that_is_not_an_object_is_not_quoted(canary: str, before: str) -> None:
    found = outcome(lambda: read_helper_json(Secret(before + canary)))
    assert isinstance(found, ProtocolError)
    assert not quotes(everything_said(found), canary)


@proves("FAULT-58", "TRU-4")
@settings(FIXED, max_examples=6 if sys.platform == "win32" else 20)  # each starts a process
@given(
    size=st.sampled_from([0, 1, 100, MAX_OUTPUT - 1, MAX_OUTPUT, MAX_OUTPUT + 1, 4 * MAX_OUTPUT]),
    byte=st.sampled_from([b"a", b"\0", b"\n", b"\377"]),
    status=st.sampled_from([0, 0, 3]),
)
def test_helper_output_is_returned_completely_or_not_at_all(size: int, byte: bytes, status: int) -> None:
    script = f"sys.stdout.buffer.write({byte!r} * {size}); sys.exit({status})"
    found = outcome(lambda: run_helper(python(script), environ=dict(os.environ)))
    if isinstance(found, Secret):
        assert (len(found.reveal()), status, byte) == (size, 0, byte)
        assert 0 < size <= MAX_OUTPUT
    else:
        assert isinstance(found, FreshkeyError)
        assert size == 0 or size > MAX_OUTPUT or status == 3 or byte == b"\377"
        assert "aaaaaaaa" not in everything_said(found)
