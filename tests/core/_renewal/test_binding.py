"""A stored sign-in is bound to every setting that decides where its secrets travel, whoever wrote the provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import Factory, evolve, field, frozen

from freshkey._renewal.reading import decode, stored_credential
from freshkey.errors import LoginRequired, RecordUnreadable
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.profile import Profile
from freshkey.model.storage import Record
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code
from rotating import RotatingProvider, User, World


@frozen
class Nested:
    audience: str = ""


@frozen(kw_only=True)
class Settings:
    revoke_url: str | None = None
    check_url: str = "https://as.example.com/check"
    mirrors: tuple[str, ...] = ()
    routes: Mapping[str, str] = Factory(dict)
    nested: Nested = Nested()
    tenant: str | None = field(default=None, metadata={"bound": True})
    domain: str | None = None
    scopes: tuple[str, ...] = field(default=(), metadata={"bound": False})
    color: str = "red"


OLD_DEFAULT, NEW_DEFAULT = "https://as.example.com/check", "https://new.example.com/check"


@frozen(kw_only=True)
class NewerSettings(Settings):
    """Those of a version of the provider that moved its endpoint."""

    check_url: str = NEW_DEFAULT


class Careless(RotatingProvider):
    """A provider whose author thought of nothing: `Credential.binding` has only the client ID."""

    more_hosts: tuple[str, ...] = ()
    settings: type[Settings] = Settings

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description | Inspection:
        plain = super().describe(profile, credential)
        if not isinstance(plain, Description):
            return plain
        settings = profile.settings if profile is not None else self.settings()
        assert isinstance(settings, Settings)
        domain = () if settings.domain is None else (settings.domain,)
        named = urlsplit(settings.check_url).hostname or ""
        return evolve(plain, settings=self.settings, hosts=(named, *domain, *self.more_hosts))


@pytest.fixture
def careless(world: World) -> World:
    world.provider = Careless(world.clock, world.journal, world.store)
    return world


def older(world: World, **changes: object) -> None:
    """Store the sign-in again as an older version did, without what it is bound to."""
    record = world.store.load().record
    assert record is not None
    assert record.payload is not None
    envelope: dict[str, Any] = json.loads(record.payload.reveal())
    del envelope["bound"]
    envelope["fields"] |= changes
    world.store.save(Record(generation=2, payload=Secret(json.dumps(envelope)), written_at=record.written_at))


MOVED: list[dict[str, object]] = [
    {"revoke_url": "https://evil.example.com/revoke"},
    {"check_url": "https://as.example.com:8443/check"},
    {"check_url": "http://as.example.com/check"},
    {"check_url": "https://as.example.com/other"},
    {"mirrors": ["https://evil.example.com"]},
    {"routes": {"revoke": "https://evil.example.com"}},
    {"tenant": "evil"},
    {"domain": "evil.example.com"},
    {"allow_insecure_loopback": True},
]


@proves("STO-11")
@pytest.mark.parametrize("settings", MOVED, ids=repr)
def test_endpoint_that_was_changed_gets_no_secret(careless: World, settings: dict[str, object]) -> None:
    careless.signed_in()
    changed = careless.keeper(settings=settings)
    for ask in (changed.get, changed.refresh, changed.inspect):
        with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
            ask("me")
        assert next(iter(settings)) in str(caught.value) or "host (evil.example.com)" in str(caught.value)
    ended = changed.logout("me")
    assert (ended.revoked, "not revoked at the provider" in ended.detail) == (False, True)
    assert (careless.provider.sent, careless.provider.revocations) == ([], [])
    assert careless.store.load().payload is None


@proves("STO-11")
@pytest.mark.parametrize("settings", MOVED, ids=repr)
def test_endpoint_that_was_reset_gets_no_secret(careless: World, settings: dict[str, object]) -> None:
    careless.signed_in(settings=settings)
    careless.keeper(settings=settings).refresh("me")
    if "domain" in settings:
        careless.keeper().refresh("me")  # fewer hosts are called than before
        return
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper().get("me")


@pytest.mark.parametrize("settings", [{}, {"color": "blue"}, {"scopes": ["https://example.com/scope"]}], ids=repr)
def test_other_settings_may_change(careless: World, settings: dict[str, object]) -> None:
    careless.signed_in()
    careless.keeper(settings=settings).refresh("me")
    assert careless.provider.sent == ["rt-1"]


def test_setting_that_is_restored_needs_no_new_sign_in(careless: World) -> None:
    careless.signed_in()
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper(settings=MOVED[0]).get("me")
    careless.keeper().refresh("me")


def test_sign_in_again_replaces_what_is_bound_elsewhere_and_sends_it_nowhere(careless: World) -> None:
    careless.signed_in()
    changed = careless.keeper(settings=MOVED[0])
    changed.login("me", interaction=User())
    changed.refresh("me")
    assert (careless.provider.sent, careless.provider.revocations) == (["rt-2"], [])


def test_host_that_a_newer_version_of_the_provider_calls_is_none_of_the_settings(careless: World) -> None:
    careless.signed_in()
    assert isinstance(careless.provider, Careless)
    careless.provider.more_hosts = ("new.example.com",)
    careless.keeper().refresh("me")


def upgrade(world: World) -> None:
    assert isinstance(world.provider, Careless)
    world.provider.settings = NewerSettings


@pytest.mark.parametrize("check_url", [None, OLD_DEFAULT, NEW_DEFAULT, "https://own.example.com/check"])
def test_upgrade_that_moves_a_default_ends_no_sign_in(careless: World, check_url: str | None) -> None:
    settings = {} if check_url is None else {"check_url": check_url}
    careless.signed_in(settings=settings)
    upgrade(careless)
    careless.keeper(settings=settings).refresh("me")
    careless.keeper(settings=settings).refresh("me")
    assert careless.provider.sent == ["rt-1", "rt-2"]


@proves("STO-11")
@pytest.mark.parametrize(
    ("then", "now"),
    [
        (None, "https://evil.example.com/check"),
        ("https://own.example.com/check", None),
        ("https://own.example.com/check", OLD_DEFAULT),
        ("https://own.example.com/check", NEW_DEFAULT),
        (NEW_DEFAULT, OLD_DEFAULT),
    ],
)
def test_setting_that_is_changed_with_an_upgrade_gets_no_secret(
    careless: World, then: str | None, now: str | None
) -> None:
    careless.signed_in(settings={} if then is None else {"check_url": then})
    upgrade(careless)
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper(settings={} if now is None else {"check_url": now}).get("me")
    assert careless.provider.sent == []


@pytest.mark.parametrize(
    "same",
    [
        "https://c.example",
        "https://c.example/",
        "HTTPS://C.Example",
        "https://c.example:443",
        "https://c.example:/",
    ],
)
def test_url_that_is_only_written_differently_is_the_same(careless: World, same: str) -> None:
    for name, before, after in (
        ("revoke_url", "https://c.example", same),
        ("mirrors", ["https://c.example"], [same]),
        ("routes", {"a": "https://c.example"}, {"a": same}),
    ):
        careless.signed_in(settings={name: before})
        careless.keeper(settings={name: after}).refresh("me")


@proves("STO-11")
@pytest.mark.parametrize(
    "other",
    [
        "https://c.example/A",
        "https://c.example:80",
        "https://c.example:0443",
        "http://c.example:443",
        "https://C@c.example",
        "https://c.example.",
        "https://c.exa\tmple",
        "https://c.example\\",
        "https://c.example@d.example",
        "https://c.example@d.example@c.example",
        "https://c.example//",
        "https://c.example?",
        "https://[c.example]",
    ],
)
def test_url_that_may_lead_elsewhere_is_another_one(careless: World, other: str) -> None:
    careless.signed_in(settings={"revoke_url": "https://c.example"})
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper(settings={"revoke_url": other}).get("me")


def test_order_of_a_list_decides_nothing(careless: World) -> None:
    one, other = "https://c.example", "https://d.example"
    careless.signed_in(settings={"mirrors": [one, other]})
    careless.keeper(settings={"mirrors": [other, one]}).refresh("me")
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper(settings={"mirrors": [one, one]}).get("me")


@proves("STO-11")
@pytest.mark.parametrize("settings", [MOVED[0], MOVED[2], MOVED[4]], ids=repr)
def test_sign_in_of_an_older_version_is_sent_only_to_defaults(careless: World, settings: dict[str, object]) -> None:
    careless.signed_in()
    older(careless)
    careless.keeper().refresh("me")
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper(settings=settings).get("me")


@proves("STO-11")
def test_sign_in_of_an_older_version_is_sent_where_its_refresh_token_goes(careless: World) -> None:
    careless.signed_in()
    older(careless, token_endpoint="https://own.example.com/token")
    own = {"revoke_url": "https://own.example.com/revoke"}
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper(settings={"revoke_url": "https://own.example.com:444/revoke"}).get("me")
    careless.keeper(settings=own).refresh("me")
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        careless.keeper().get("me")


def test_what_it_is_bound_to_contains_no_setting_in_clear(careless: World) -> None:
    careless.signed_in(settings={"revoke_url": "https://user:a-made-up-password@as.example.com/"})
    payload = careless.store.load().payload
    assert payload is not None
    assert "a-made-up-password" not in payload.reveal()


@pytest.mark.parametrize(
    "bound",
    [
        [],
        {},
        {"settings": {}},
        {"settings": {}, "hosts": [1]},
        {"settings": 1, "hosts": []},
        {"settings": {}, "defaults": 1, "hosts": []},
    ],
)
def test_unreadable_binding_is_a_corrupt_record(careless: World, bound: object) -> None:
    keeper = careless.signed_in()
    context = next(iter(keeper.all_managed())).context
    assert stored_credential(context) is not None
    payload = careless.store.load().payload
    assert payload is not None
    with raises_code(RecordUnreadable, "record-unreadable"):
        decode(context, Secret(json.dumps({**json.loads(payload.reveal()), "bound": bound})))
