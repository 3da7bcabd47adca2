"""The contract of an API that has its own names for tokens and lifetimes: what is dropped there is noticed, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshkey_cli.new_provider import write
from kit_runs import run


pytest_plugins = ["pytester"]

KEPT = "test_the_refresh_token_of_the_server_is_kept"
SIGNS_IN = "test_each_owned_source_signs_in"

NAMES = {"access_token": "session", "refresh_token": "renewal", "expires_in": "valid_for"}
AT_RENEWAL = """        refresh_token=_secret(answer, "renewal") if "renewal" in answer else session.refresh_token,
    )


def revoke"""
FIELD = "    refresh_token: Secret | None = None\n"

PLAIN_FIELD = """\
    letters: str | None = None

    @property
    def refresh_token(self) -> Secret | None:
        return None if self.letters is None else Secret(self.letters)
"""

BROKEN = {
    "nothing": ("", "", KEPT, None),
    "drops the new one": (AT_RENEWAL, "    )\n\n\ndef revoke", KEPT, "*refresh did not return it: the old one may be*"),
    "has no lifetime": (
        "        lifetime=_seconds(answer),\n        source=",
        "        source=",
        SIGNS_IN,
        "*the server said when it ends (valid_for)*returned no lifetime*",
    ),
    "shows what renews it": (
        FIELD,
        PLAIN_FIELD,
        SIGNS_IN,
        "*is renewed with its field 'letters', which must be a freshkey.plugin.Secret*",
    ),
}


def packaged(folder: Path, old: str, new: str) -> str:
    """Write a package whose API has its own names, with one edit; return its tests."""
    write(folder, "own", "password")
    (module,) = folder.glob("src/*/__init__.py")
    (tests,) = folder.glob("tests/*.py")
    for path in (module, tests):
        text = path.read_text("utf-8")
        for ours, theirs in NAMES.items():
            text = text.replace(f'"{ours}"', f'"{theirs}"')
        path.write_text(text, "utf-8")
    text = module.read_text("utf-8")
    assert old in text
    text = text.replace(old, new)
    if "letters" in new:
        text = text.replace('refresh_token=_secret(answer, "renewal")', 'letters=_secret(answer, "renewal").reveal()')
        text = text.replace("else session.refresh_token", "else session.letters")
    module.write_text(text, "utf-8")
    return tests.read_text("utf-8")


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_dropped_is_noticed(
    broken: str, pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, check, sentence = BROKEN[broken]
    tests = packaged(tmp_path / "own", old, new)
    monkeypatch.syspath_prepend(str(tmp_path / "own" / "src"))
    result = run(pytester, monkeypatch, tests, "-k", f"{check} or test_it_fits_the_hooks")
    if sentence is None:
        assert set(result.parseoutcomes()) == {"passed", "deselected"}
    else:
        result.stdout.fnmatch_lines([sentence])
