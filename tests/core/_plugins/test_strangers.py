"""Broken and clashing packages that are merely installed leave every other profile working."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from example_provider import Provider
from freshkey import Configuration, Keeper
from freshkey._plugins.discovery import OBSERVERS, PROVIDERS, STORES
from freshkey.errors import ConfigurationError, FreshkeyError, PluginBroken
from promises import proves


Add = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Add]:
    """Return a function that installs a distribution into an environment directory of its own."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(distribution: str, entries: str, code: str = "raise SystemExit('imported')") -> None:
        info = tmp_path / f"{distribution}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(entries, "utf-8")
        (tmp_path / f"fixture_{distribution}.py").write_text(code, "utf-8")

    yield add
    for name in set(sys.modules) - known:
        if name.startswith("fixture_"):
            del sys.modules[name]


STOP = "class Stop(BaseException): ...\nraise Stop"


@proves("FAULT-59", "TRU-1")
def test_strangers_leave_other_profiles_working(add: Add, tmp_path: Path) -> None:
    add("exits", f"[{PROVIDERS}]\nexits = fixture_exits\n")
    add("stops", f"[{PROVIDERS}]\nstops = fixture_stops\n", STOP)
    add("lacks", f"[{PROVIDERS}]\nlacks = fixture_lacks:nothing\n", "")
    add("future", f"[{PROVIDERS}]\nfuture = fixture_future\n", "FRESHKEY_CONTRACT = 99")
    add("one", f"[{PROVIDERS}]\nclash = fixture_one\n")
    add("other", f"[{PROVIDERS}]\nclash = fixture_other\n")
    add("damaged", f"[{PROVIDERS}\n = = \ngood =\n[{PROVIDERS}]\n\x00 = \x00\n")
    add("stores", f"[{STORES}]\nvault = fixture_stores\nmemory = fixture_stores\n")
    add("observes", f"[{OBSERVERS}]\naudit = fixture_observes\n")
    names = ("exits", "stops", "lacks", "future", "clash")
    profiles = {"mine": {"provider": "good", "source": "helper"}} | {name: {"provider": name} for name in names}
    configuration = Configuration.of(
        {name: {**table, "store": "memory"} for name, table in profiles.items()}, state_dir=tmp_path / "state"
    )
    good = Provider()
    with Keeper(configuration=configuration, providers={"good": good}) as keeper:
        for name in (*names, "mine", *names):
            if name != "mine":
                with pytest.raises(FreshkeyError) as caught:
                    keeper.describe(name)
                assert type(caught.value) is (ConfigurationError if name == "clash" else PluginBroken)
                assert caught.value.profile == name
            assert keeper.describe("mine").title == "Example"
    assert not {"fixture_one", "fixture_other", "fixture_stores", "fixture_observes"} & {*sys.modules}
