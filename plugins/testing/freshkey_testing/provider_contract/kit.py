"""The fixtures used by all checks of a provider."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final, NoReturn

import attrs
import pytest

from freshkey import Credential, Description, Profile, Source
from freshkey.errors import PluginBroken
from freshkey.plugin import NonInteractive, Response
from freshkey_testing.contract import Contract
from freshkey_testing.exchanges import made_response
from freshkey_testing.not_applicable import leave_to, not_applicable, not_run
from freshkey_testing.profiles import identified
from freshkey_testing.provider_contract.hooks import DEADLINE, Hooks
from freshkey_testing.provider_contract.lender import Lender
from freshkey_testing.provider_contract.probes import fail_with, tried
from freshkey_testing.user import ScriptedUser


FITS: Final = "test_it_fits_the_hooks"
"""The check that fails if there is nothing that others could check."""

FAR_ZONES: Final = {"Kiritimati": "<+14>-14", "Pago_Pago": "<-11>11"}
"""The two ends of the day, as POSIX writes them, so that no time zone database is needed."""

_told: Final[weakref.WeakKeyDictionary[type, dict[str, str]]] = weakref.WeakKeyDictionary()
_stuck: Final[weakref.WeakKeyDictionary[type, dict[str, str]]] = weakref.WeakKeyDictionary()


class ProviderKit(Contract):
    """Fixtures: some are provided by the subclass, the others are derived from them."""

    deadline: ClassVar[float] = DEADLINE
    """Real seconds that each hook may take."""

    # --- what a subclass provides ----------------------------------------------------------------------------

    @pytest.fixture
    def provider(self, request: pytest.FixtureRequest) -> object:
        """Return the provider: its module, or an object with the hooks."""
        leave_to(request, FITS)
        pytest.fail("define the fixture provider: it returns the module that implements the hooks", pytrace=False)

    @pytest.fixture
    def settings(self) -> object:
        """Return the settings, as an instance of the settings class or as a mapping. By default, all defaults."""
        return None

    @pytest.fixture
    def profile(self, provider: object, settings: object, freshkey_profile: Callable[..., Profile]) -> Profile:
        """Return a profile of this provider; by default, it sends to ``freshkey_http``, by a manual clock.

        Override it to create what borrowed sources look for, with made-up secrets, and to script the server's answers.
        """
        return freshkey_profile(provider, settings)

    @pytest.fixture
    def users(self) -> Mapping[str, ScriptedUser]:
        """Return who signs in, by the ID of each interactive source."""
        return {}

    @pytest.fixture
    def refusal(self) -> Response:
        """Return how the server refuses a renewal for good; by default, as OAuth says (RFC 6749, section 5.2)."""
        return made_response(400, json={"error": "invalid_grant"})

    @pytest.fixture
    def signed_in(
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        users: Mapping[str, ScriptedUser],
        request: pytest.FixtureRequest,
    ) -> Credential | None:
        """Return a fresh owned credential of that profile; by default, from the first owned source that can be used."""
        owned = [source for source in description.sources if source.owned]
        if not owned:
            return None
        for source in owned:
            if source.id in users or not source.interactive:
                return _acquired(request.cls, hooks, profile, source, users.get(source.id))
        return fail_once(request.cls, _no_user(owned))

    @pytest.fixture
    def not_renewable(self, held: Credential, request: pytest.FixtureRequest) -> Credential | None:
        """Return an owned credential that needs a sign-in to renew; None if every one can always be renewed."""
        if not held.renewable:
            return held
        if "refresh_token" not in attrs.fields_dict(type(held)):
            fail_once(
                request.cls,
                "define the fixture not_renewable: it returns an owned credential that only a sign-in can replace,"
                " or None if there are none",
            )
        return attrs.evolve(held, refresh_token=None)  # type: ignore[call-arg]  # checked above

    @pytest.fixture
    def lenders(self) -> Mapping[str, Lender]:
        """Return how another program renews and loses what is borrowed, by the ID of each such source. Optional."""
        return {}

    @pytest.fixture
    def revocable(self, held: Credential) -> Credential:
        """Return an owned credential of a server run or scripted by the test, where it may be revoked."""
        return held

    # --- what the kit derives from it ------------------------------------------------------------------------

    @pytest.fixture(autouse=True)
    def fitting(self, provider: object, request: pytest.FixtureRequest) -> None:
        """Fail once if the hooks do not fit the contract; nothing else can then be checked."""
        if (misfit := _misfit_of(request.cls, provider)) is not None:
            leave_to(request, FITS)
            fail_once(request.cls, f"the hooks do not fit the contract: {misfit}", misfit)

    @pytest.fixture
    def hooks(self, fitting: None, provider: object, profile: Profile, request: pytest.FixtureRequest) -> Hooks:  # noqa: ARG002  first
        """The hooks as the core calls them: return values are checked and errors classified."""
        return Hooks.of(profile.provider, provider, self.deadline, _stuck_of(request.cls))

    @pytest.fixture
    def description(self, hooks: Hooks, profile: Profile) -> Description:
        """The provider's description for that profile."""
        return hooks.describe(profile)

    @pytest.fixture
    def held(
        self, signed_in: Credential | None, profile: Profile, description: Description, request: pytest.FixtureRequest
    ) -> Credential:
        """The owned credential; where the description has no owned source, there is nothing to check."""
        if signed_in is None:
            if any(source.owned for source in description.sources):
                fail_once(request.cls, "the fixture signed_in returns None, but the provider has an owned source")
            not_applicable("the provider has no owned source")
        return attrs.evolve(signed_in, clock=profile.clock)

    @pytest.fixture
    def owned(  # noqa: PLR0917  fixtures
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        users: Mapping[str, ScriptedUser],
        held: Credential,
        request: pytest.FixtureRequest,
    ) -> list[Credential]:
        """An owned credential from each owned source that can be signed in with."""
        others = [source for source in description.sources if source.owned and source.id != held.source]
        return [
            held,
            *(
                _acquired(request.cls, hooks, profile, source, users.get(source.id))
                for source in others
                if not source.interactive or source.id in users
            ),
        ]

    @pytest.fixture
    def found(
        self,
        hooks: Hooks,
        profile: Profile,
        description: Description,
        signed_in: Credential | None,
        request: pytest.FixtureRequest,
    ) -> list[Credential]:
        """Every credential to check: the owned ones, and those from borrowed sources that need no user."""
        borrowed = [
            _acquired(request.cls, hooks, profile, source, None)
            for source in description.sources
            if not source.interactive and not source.owned and hooks.detect(profile, source)
        ]
        everything = borrowed if signed_in is None else [*request.getfixturevalue("owned"), *borrowed]
        if not everything:
            fail_once(request.cls, "override the fixture profile: create a credential for a borrowed source in it")
        return everything

    @pytest.fixture(params=FAR_ZONES)
    def far_zone(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """A time zone at an end of the day: a naive time is wrong by many hours in one of them."""
        monkeypatch.setenv("TZ", FAR_ZONES[request.param])
        _set_zone()
        yield request.param
        monkeypatch.undo()
        _set_zone()


def _misfit_of(cls: type[ProviderKit], provider: object) -> PluginBroken | None:
    """Return what does not fit, or is raised; None if the hooks fit the contract."""
    try:
        Hooks.of(identified(provider)[0], provider, cls.deadline, _stuck_of(cls)).describe(None)
    except PluginBroken as error:
        return error
    return None


def _acquired(cls: type, hooks: Hooks, profile: Profile, source: Source, user: ScriptedUser | None) -> Credential:
    """Get a credential for other checks; fail once if there is none."""
    made, error = tried(lambda: hooks.acquire(profile, source, user or NonInteractive(profile.name)))
    if made is None:
        no_credential(cls, source, error)
    return made


def _no_user(owned: list[Source]) -> str:
    names = " or ".join(repr(source.id) for source in owned)
    return (
        f"define the fixture users: it returns a ScriptedUser who signs in, for source {names};"
        " and script the server's answers with freshkey_http, or run a server"
    )


def _stuck_of(cls: type) -> dict[str, str]:
    return _stuck.setdefault(cls, {})


def _set_zone() -> None:
    if hasattr(time, "tzset"):  # not on Windows
        time.tzset()


def no_credential(cls: type, source: Source, error: BaseException | None) -> NoReturn:
    """Fail once because a source gave no credential."""
    fail_once(cls, f"there is no credential from source {source.id!r}: {error}", error)


def fail_once(cls: type, sentence: str, cause: BaseException | None = None) -> NoReturn:
    """Fail the first test of a class that meets this, and do not run the others: one flaw is one failure."""
    told = _told.setdefault(cls, {})
    current = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    first = told.setdefault(sentence, current)
    if first != current:
        not_run(f"see the failure of {first.rpartition('::')[2]}")
    fail_with(sentence, cause)
