"""A sign-in with Google is bound to every endpoint that sees one of its tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

import freshkey_vertex as provider
from catcher import Catcher
from freshkey import Configuration, Keeper
from freshkey.errors import LoginRequired
from freshkey_testing import ScriptedUser
from freshkey_testing.browser import follow
from freshkey_vertex.settings import VertexSettings
from google_cloud import CLIENT_ID, CLIENT_SECRET, TARGET, GoogleCloud
from promises import proves
from raises_code import raises_code


class Machine:
    """Keepers that share a store in memory."""

    def __init__(self, cloud: GoogleCloud, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.settings: dict[str, Any] = {
            "provider": "vertex",
            "store": "memory",
            "project": "my-project",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            **cloud.settings(),
        }

    def keeper(self, **changes: Any) -> Keeper:
        table = {**self.settings, **changes}
        configuration = Configuration.of({"me": table}, state_dir=self.state_dir, default="me")
        return Keeper(configuration=configuration, providers={"vertex": provider}, random=lambda: 0.0)

    def sign_in(self) -> None:
        with self.keeper() as keeper, ScriptedUser(browser=follow) as user:
            keeper.login("me", interaction=user)


@pytest.fixture
def machine(cloud: GoogleCloud, tmp_path: Path) -> Machine:
    made = Machine(cloud, tmp_path / "state")
    made.sign_in()
    return made


@proves("STO-11")
@pytest.mark.parametrize("setting", ["token_url", "revoke_url", "tokeninfo_url", "iam_url"])
@pytest.mark.parametrize("also", [{}, {"impersonate": TARGET}], ids=["", "impersonated"])
def test_endpoint_that_was_changed_gets_no_token(machine: Machine, setting: str, also: dict[str, str]) -> None:
    with Catcher() as elsewhere, machine.keeper(**{**also, setting: f"{elsewhere.url}/x"}) as changed:
        for ask in (changed.get, changed.refresh, changed.inspect):
            with raises_code(LoginRequired, "sign-in-settings-changed"):
                ask("me")
        ended = changed.logout("me")
    assert (ended.revoked, elsewhere.caught) == (False, [])


def test_settings_that_see_no_stored_secret_may_change(machine: Machine) -> None:
    with machine.keeper(authorize_url="https://elsewhere.example/auth", scopes=["https://example.com/s"]) as keeper:
        keeper.refresh("me")
        assert keeper.logout("me").revoked is True


def test_every_exception_is_one_of_those() -> None:
    unbound = {each.name for each in attrs.fields(VertexSettings) if each.metadata.get("bound") is False}
    assert unbound == {"authorize_url", "scopes", "authorize_parameters"}
