"""Fixtures for tests of applications and plugins; pytest loads this module by itself once the package is installed.

It imports nothing that is not needed by pytest itself, because every test run on a machine that has this package pays
for it: each fixture imports what it needs when it is first used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from freshkey_testing.not_applicable import (
    UNCHECKED,
    NotApplicable,
    NotRun,
    is_not_run,
    is_passed_over,
    note_not_run,
    pass_over,
    summary,
)


if TYPE_CHECKING:
    from freshkey import Keeper, Profile
    from freshkey.events import Event
    from freshkey_testing import AuthorizationServer, ManualClock, ScriptedUser
    from freshkey_testing.canary import Canary
    from freshkey_testing.exchanges import ScriptedExchanges

_CANARY: Final = pytest.StashKey["Canary"]()


@pytest.fixture
def freshkey_clock() -> ManualClock:
    """A clock that moves only when the test moves it; profiles and keepers of the other fixtures use it."""
    from freshkey_testing.clock import ManualClock

    return ManualClock()


@pytest.fixture
def freshkey_user() -> Iterator[Callable[..., ScriptedUser]]:
    """A factory of users with scripted answers: ``freshkey_user(paste="code")``; see `ScriptedUser`.

    Without arguments, every question fails the test. At the end, browsers and devices of these users must be done.
    """
    from freshkey_testing.user import ScriptedUser

    users: list[ScriptedUser] = []

    def make(**answers: object) -> ScriptedUser:
        users.append(ScriptedUser(**answers))  # type: ignore[arg-type]  # checked by ScriptedUser
        return users[-1]

    yield make
    for user in users:
        user.finish()


@pytest.fixture
def freshkey_http() -> Iterator[ScriptedExchanges]:
    """Scripted exchanges in place of the network; see `ScriptedExchanges`.

    A request that the script does not answer fails the test, also if the code under test caught the error.
    """
    from freshkey_testing.exchanges import ScriptedExchanges

    script = ScriptedExchanges()
    yield script
    if script.unexpected:
        pytest.fail("\n".join(script.unexpected), pytrace=False)


@pytest.fixture
def freshkey_profile(
    freshkey_clock: ManualClock, freshkey_http: ScriptedExchanges, tmp_path: Path
) -> Callable[..., Profile]:
    """A factory of profiles: ``freshkey_profile(freshkey_mine, settings={"region": "here"})``.

    The first argument is a provider's module or object, or the ID of one that is installed; `settings` is an instance
    of its settings class, or a mapping for it. Other arguments are fields of `Profile`. By default it uses the manual
    clock, sends to the script, opens no port for a sign-in in the browser, whose response the user pastes, and keeps
    its state in `tmp_path`.
    """
    from freshkey_testing.profiles import make_profile

    def make(provider: object, settings: object = None, **fields: object) -> Profile:
        standard = {"state_dir": tmp_path / "state", "clock": freshkey_clock}
        return make_profile(provider, settings, freshkey_http, {**standard, **fields})

    return make


@pytest.fixture
def freshkey_events() -> list[Event]:
    """The events of the keepers of `freshkey_keeper`, oldest first."""
    return []


@pytest.fixture
def freshkey_keeper(
    freshkey_clock: ManualClock, freshkey_http: ScriptedExchanges, freshkey_events: list[Event], tmp_path: Path
) -> Iterator[Callable[..., Keeper]]:
    """A factory of keepers: ``freshkey_keeper({"mine": freshkey_mine}, profiles={"work": {"provider": "mine"}})``.

    Without `profiles`, each provider has a profile of its name; the first is the default. Credentials are kept in
    memory, the clock is the manual one, and the script answers requests: pass ``network=None`` for real ones, such as
    to ``freshkey_authorization_server``. Other arguments are those of `Keeper`. Keepers are closed at the end.
    """
    from freshkey_testing.profiles import make_keeper

    made: list[Keeper] = []

    def make(
        providers: Mapping[str, object], profiles: Mapping[str, Mapping[str, object]] | None = None, **more: object
    ) -> Keeper:
        standard = {"clock": freshkey_clock, "network": freshkey_http}
        keeper = make_keeper(providers, profiles, tmp_path / "state", {**standard, **more})
        keeper.subscribe(freshkey_events.append)
        made.append(keeper)
        return keeper

    yield make
    for keeper in made:
        keeper.close()


@pytest.fixture
def freshkey_authorization_server(freshkey_clock: ManualClock) -> Iterator[AuthorizationServer]:
    """An OAuth authorization server on loopback, by the manual clock; see `AuthorizationServer`."""
    from freshkey_testing.server import AuthorizationServer

    with AuthorizationServer(clock=freshkey_clock) as server:
        yield server


@pytest.fixture
def freshkey_canary(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Canary]:
    """A factory of made-up secrets: ``freshkey_canary()`` returns a `Secret`.

    At the end, the test fails if one of them is in what it printed or logged, in a warning, or in a file of `tmp_path`
    that `Canary.allow` does not name.
    """
    from freshkey_testing.canary import Canary

    canary = request.node.stash[_CANARY] = Canary(tmp_path)
    with canary.listening():
        yield canary
    if leaked := canary.leaked():
        pytest.fail("\n".join(leaked), pytrace=False)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Expect the failures that a contract class names; a check that passes nevertheless fails the run."""
    contract = sys.modules.get("freshkey_testing.contract")
    cls = getattr(item, "cls", None)
    if contract is None or not isinstance(item, pytest.Function) or not isinstance(cls, type):
        return
    if issubclass(cls, contract.Contract):
        reason = contract.known_failure(cls, item.originalname, item.name)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose captured output holds a canary, and show it without; note checks that say nothing."""
    report = yield
    raised = call.excinfo.value if call.excinfo is not None else None
    if isinstance(raised, NotApplicable):
        pass_over(item, report, raised)
    elif isinstance(raised, NotRun):
        note_not_run(report, raised)
    canary = item.stash.get(_CANARY, None)
    if canary is not None:
        found = [title for title, text in report.sections if canary.is_in(text)]
        report.sections = [(title, canary.hidden(text)) for title, text in report.sections]
        if found and report.when == "teardown" and report.passed:
            report.outcome = "failed"
            report.longrepr = "\n".join(f"{title!r} holds a canary" for title in found)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Do not run a check whose fixtures found that it does not apply."""
    return True if is_passed_over(pyfuncitem) else None


def pytest_report_teststatus(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, str, str] | None:
    """Count checks that could not be run by themselves, neither as passed nor as skipped."""
    return (UNCHECKED, "-", UNCHECKED.upper()) if is_not_run(report) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which checks of a contract did not apply or could not be run, and why."""
    for line in summary(terminalreporter.getreports("passed"), terminalreporter.getreports(UNCHECKED)):
        terminalreporter.write_line(line)
