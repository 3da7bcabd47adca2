"""What is kept for a profile is named by its key, which no other project's profile has."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from freshkey._config.schema import checked_name
from freshkey._stores.encrypted_file import store as file_store
from freshkey._stores.keychain.store import service_prefix
from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from raises_code import raises_code


def profile(state_dir: Path, project: str | None = None, name: str = "ci") -> Profile:
    directory = None if project is None else Path(project)
    return Profile(name=name, provider="example", settings=None, state_dir=state_dir, project_dir=directory)


def test_profile_of_the_user_keeps_its_name(tmp_path: Path) -> None:
    assert profile(tmp_path).key == "ci"


OTHERS = ["/home/b", "/home/a/x", "/", "/home/a\n", "/home/\udc80"]


@pytest.mark.parametrize("other", OTHERS if sys.platform == "win32" else [*OTHERS, "/home/A"])
def test_no_other_project_has_the_same_key(tmp_path: Path, other: str) -> None:  # TRU-11
    mine = profile(tmp_path, "/home/a")
    assert mine.key == profile(tmp_path, "/home/a").key
    assert len({mine.key, profile(tmp_path, other).key, profile(tmp_path).key}) == 3
    assert mine.key != profile(tmp_path, "/home/a", "CI").key
    assert service_prefix(mine) != service_prefix(profile(tmp_path, other))


def test_no_profile_of_the_user_can_have_the_key_of_a_projects(tmp_path: Path) -> None:  # TRU-11
    key = profile(tmp_path, "/home/a").key
    assert re.fullmatch("ci@[0-9a-f]{32}", key)
    with raises_code(ConfigurationError, "invalid-name"):
        checked_name(key)


def test_file_store_keeps_projects_apart(tmp_path: Path) -> None:  # TRU-11
    tmp_path.chmod(0o700)
    first, second = (profile(tmp_path, project) for project in ("/home/a", "/home/b"))
    items = [file_store.FileItems(tmp_path, each.key, file_store._key(each)) for each in (first, second)]
    items[0].set("0.0", "text")
    assert items[1].get("0.0") is None
