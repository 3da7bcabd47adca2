"""Which keychain is used for a profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from freshkey._stores.keychain import choice, prompts
from freshkey._stores.keychain.choice import Choice
from freshkey.errors import StoreUnavailable
from freshkey.model.profile import Profile
from raises_code import raises_code


KDE = ("kwallet", "secret-service")
OTHER = ("secret-service", "kwallet")


@define
class System:
    """The keychains that are there, those that have an item, and those that hang."""

    order: tuple[str, ...] = KDE
    there: set[str] = field(factory=lambda: set(KDE))
    having: set[str] = field(factory=set)
    hanging: set[str] = field(factory=set)
    looks: int = 0

    def holds(self, name: str, service: str, username: str) -> bool:
        self.looks += 1
        if name in self.hanging:
            raise TimeoutError
        return name in self.having & self.there

    def open(self, name: str | None) -> Any:
        if name not in self.there:
            raise StoreUnavailable("not there", code="no-keychain")
        return name


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    found = System()
    monkeypatch.setattr(choice, "in_order", lambda: found.order)
    monkeypatch.setattr(choice, "holds", found.holds)
    return found


def of(profile: Profile) -> Choice:
    return Choice.of_profile(profile, "freshkey:x:me:")


def opened(chosen: Choice, system: System) -> object:
    return chosen.open(system.open)


def remembered(profile: Profile) -> str | None:
    paths = list((profile.state_dir / "keychain").glob("*.json"))
    return str(json.loads(paths[0].read_text())["keychain"]) if paths else None


@pytest.mark.parametrize("order", [KDE, OTHER])
def test_first_sign_in_uses_and_remembers_the_keychain_of_the_session(
    system: System, profile: Profile, order: tuple[str, ...]
) -> None:
    system.order = order
    chosen = of(profile)
    assert opened(chosen, system) == order[0]
    assert remembered(profile) is None, "nothing is stored yet"
    chosen.stored()
    assert remembered(profile) == order[0]

    system.order = tuple(reversed(order))
    assert opened(of(profile), system) == order[0]


def test_keychain_that_is_not_there_is_skipped(system: System, profile: Profile) -> None:
    system.there = {"secret-service"}
    assert opened(of(profile), system) == "secret-service"


def test_stored_items_win_and_are_remembered_without_writing(system: System, profile: Profile) -> None:
    system.having = {"secret-service"}
    assert opened(of(profile), system) == "secret-service"
    assert remembered(profile) == "secret-service"


def test_of_two_stored_records_the_one_that_earlier_versions_used_wins(system: System, profile: Profile) -> None:
    system.having = {"secret-service", "kwallet"}
    assert opened(of(profile), system) == "secret-service"


def test_keychains_are_searched_once_while_nothing_is_stored(system: System, profile: Profile) -> None:
    chosen = of(profile)
    opened(chosen, system)
    looks = system.looks
    opened(chosen, system)
    assert system.looks == looks


def test_choice_of_another_process_is_noticed(system: System, profile: Profile) -> None:
    chosen, other = of(profile), of(profile)
    assert opened(chosen, system) == "kwallet"
    system.order = OTHER
    opened(other, system)
    other.stored()
    assert opened(chosen, system) == "secret-service"


def test_sign_in_is_not_looked_for_elsewhere(system: System, profile: Profile) -> None:
    chosen = of(profile)
    opened(chosen, system)
    chosen.stored()
    system.there = {"secret-service"}
    with raises_code(StoreUnavailable, "keychain-not-in-session"):
        opened(of(profile), system)
    with prompts.under(prompts.Policy(prompts.Asker(present=True))):
        again = of(profile)
        assert opened(again, system) == "secret-service"
        again.stored()
    assert opened(of(profile), system) == "secret-service"


def test_without_any_keychain_the_reason_is_that_of_the_first(system: System, profile: Profile) -> None:
    chosen = of(profile)
    opened(chosen, system)
    chosen.stored()
    system.there = set()
    with raises_code(StoreUnavailable, "no-keychain"):
        opened(of(profile), system)


def test_hanging_keychain_prevents_reading_but_not_a_sign_in(system: System, profile: Profile) -> None:
    system.hanging = {"secret-service"}
    with pytest.raises(TimeoutError):
        opened(of(profile), system)
    with prompts.under(prompts.Policy(prompts.Asker(present=True))):
        assert opened(of(profile), system) == "kwallet"


@pytest.mark.parametrize(
    "content", ['{"keychain": "os.system"}', '{"keychain": 5}', "{}", "no JSON", '{"keychain": []}']
)
def test_damaged_file_names_no_keychain(system: System, profile: Profile, content: str) -> None:
    chosen = of(profile)
    opened(chosen, system)
    chosen.stored()
    (path,) = (profile.state_dir / "keychain").glob("*.json")
    path.write_text(content)
    assert opened(of(profile), system) == "kwallet"


def test_state_directory_that_cannot_be_written_is_not_needed(system: System, profile: Profile) -> None:
    profile.state_dir.parent.mkdir(parents=True, exist_ok=True)
    profile.state_dir.touch()
    chosen = of(profile)
    assert opened(chosen, system) == "kwallet"
    chosen.stored()


def test_item_of_another_program_is_found_and_not_remembered(system: System, tmp_path: Path) -> None:
    system.having = {"secret-service"}
    assert opened(Choice([("their-service", "name")], "me"), system) == "secret-service"
    assert not (tmp_path / "state").exists()


def test_system_with_one_keychain_needs_no_choice(system: System, profile: Profile) -> None:
    system.order = ()
    system.there = {None}  # type: ignore[arg-type]
    chosen = of(profile)
    assert opened(chosen, system) is None
    chosen.stored()
    assert system.looks == 0
    assert not profile.state_dir.exists()
