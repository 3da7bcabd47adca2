"""The contract of observers as tests, for any plugin of the group ``freshkey.observers``."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import traceback
import types
from collections.abc import Collection
from pathlib import Path
from typing import Final

import pytest

from freshkey import Profile
from freshkey.errors import FreshkeyError, PluginBroken, TransientError
from freshkey_testing.contract import Contract
from freshkey_testing.deadline import DEADLINE, bounded
from freshkey_testing.guard import written_files
from freshkey_testing.not_applicable import leave_to
from freshkey_testing.observer_stage import CANARIES, HOOKS, NoSettings, Stage
from freshkey_testing.secret_scan import leaks


MAX_DELAY: Final = 2.0
"""Seconds that an observer may add to a call; an audit log needs a thousandth."""

_HEAVY: Final = (
    "requests httpx aiohttp urllib3 boto3 botocore google.auth grpc opentelemetry.sdk sqlalchemy numpy pandas"
)

_IMPORT: Final = (
    "import sys, importlib; import freshkey.plugin; importlib.import_module(sys.argv[1]);"
    "print(' '.join(name for name in sys.argv[2].split() if name in sys.modules))"
)

each_hook = pytest.mark.parametrize("hook", HOOKS)


@bounded
class ObserverContract(Contract):
    """What every observer must do: look on, and at most refuse.

    Subclass it, name the class ``Test…``, and provide the fixture `observer`::

        class TestMyObserver(ObserverContract):
            @pytest.fixture
            def observer(self):
                return my_observer

    Optional fixtures: `profile`, one that the observer allows; `refused`, one that it does not, if it refuses any;
    `writes_to`, the files and directories that it writes to.

    Attributes:
        deadline: Seconds that a check may take; one that takes longer fails, and says where it waits.
    """

    deadline: float = DEADLINE

    # --- what a subclass provides ----------------------------------------------------------------------------

    @pytest.fixture
    def observer(self, request: pytest.FixtureRequest) -> object:
        """Return the observer: the module or object that its entry point names."""
        leave_to(request, "test_it_fits")
        pytest.fail("override the fixture observer to return the module or object that its entry point names")

    @pytest.fixture
    def profile(self, tmp_path: Path) -> Profile:
        """Return a profile that the observer lets through."""
        return Profile(name="allowed", provider="stage", settings=NoSettings(), state_dir=tmp_path / "state")

    @pytest.fixture
    def refused(self) -> Profile | None:
        """Return a profile for which the observer refuses a call; None if it never refuses one."""
        return None

    @pytest.fixture
    def writes_to(self) -> Collection[Path]:
        """Return the files and directories to which the observer writes, such as an audit log."""
        return ()

    # --- what the kit derives from it ------------------------------------------------------------------------

    @pytest.fixture
    def stage(self, observer: object, request: pytest.FixtureRequest) -> Stage:
        """The observer, between a provider and the core."""
        if _misfit(observer):
            leave_to(request, "test_it_fits")
        return Stage(observer)

    # --- checks ----------------------------------------------------------------------------------------------

    def test_it_fits(self, observer: object) -> None:
        """It implements at least one hook, each with its signature, and each as a wrapper."""
        misfit = _misfit(observer)
        assert not misfit, misfit

    @each_hook
    def test_answers_pass_unchanged(self, stage: Stage, profile: Profile, hook: str) -> None:
        """Return what the ``yield`` gave. freshkey ignores anything else, so an observer that tries has a mistake."""
        error = _caught(stage, hook, profile)
        _must_not_refuse(stage, hook, error)
        assert not stage.outermost.raised, (
            f"{hook}: it raises {_name(stage.outermost.raised[0])} after its yield, where nothing can be refused any"
            " more: freshkey ignores it, and reports an event each time. Handle it, or refuse before the yield"
        )
        assert error is None, f"{hook}: the call fails with {_name(error)} because of the observer"
        given = stage.provider.answers
        if hook != "describe":
            assert stage.outermost.results == given, f"{hook}: it changes the answer: return what its yield gave"
        assert stage.outermost.results[-1] is not None, f"{hook}: it loses the answer: return what its yield gave"
        assert not stage.events, f"{hook}: it fails after its yield: {stage.events}"

    @pytest.mark.parametrize("hook", HOOKS[1:])
    def test_errors_pass_unchanged(self, observer: object, stage: Stage, profile: Profile, hook: str) -> None:
        """Let the provider's error through: what the caller does next depends on its class."""
        error = TransientError("the provider is busy")
        stage = Stage(observer, error)
        _must_not_refuse(stage, hook, _caught(stage, hook, profile))
        assert not stage.outermost.results, (
            f"{hook}: it turns an error of the provider into an answer: raise again what its yield raised"
        )
        assert stage.outermost.raised == [error], (
            f"{hook}: it raises {_name(stage.outermost.raised[-1])} in place of the provider's error: raise again what"
            " its yield raised"
        )

    @each_hook
    def test_it_costs_no_time(self, stage: Stage, profile: Profile, hook: str) -> None:
        """Each call waits for the observer, with the profile's lock held: put slow work on a thread of your own."""
        began = time.monotonic()
        _caught(stage, hook, profile)
        took = time.monotonic() - began
        assert took < MAX_DELAY, (
            f"{hook}: the call took {took:.1f} s, which an application waits for: do slow work on another thread"
        )

    @each_hook
    def test_no_secret_is_shown(  # noqa: PLR0917  fixtures
        self,
        observer: object,
        stage: Stage,
        profile: Profile,
        hook: str,
        writes_to: Collection[Path],
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """No secret on stdout or stderr, in a log, in a file or in an error; no file that `writes_to` does not name."""
        caplog.set_level(logging.DEBUG)
        failing = Stage(observer, TransientError("the provider is busy"))
        with written_files() as written:
            errors = [_caught(each, hook, profile) for each in (stage, failing)]
        out, err = capfd.readouterr()
        shown = {
            "stdout": out,
            "stderr": err,
            "the log": f"{caplog.text} {[vars(record) for record in caplog.records]!r}",
            "an error": " ".join("".join(traceback.format_exception(error)) for error in errors if error is not None),
        }
        for path in {*written, *_below(writes_to)}:
            if path.is_file():
                shown[f"the file {path}"] = path.read_bytes().decode("latin-1")
        for where, text in shown.items():
            assert not leaks(text, CANARIES), (
                f"{hook}: it shows a secret in {where}: never show a credential's fields, only its class, source and"
                " identity"
            )
        strange = [path for path in written if not any(path.is_relative_to(place.resolve()) for place in writes_to)]
        assert not strange, f"{hook}: it writes to {strange[0]}: name that place in the fixture writes_to"

    def test_a_refusal_is_a_clear_error(self, stage: Stage, refused: Profile | None) -> None:
        """Refuse before the ``yield``, with an error of `freshkey.errors` that says what to do; nothing is called."""
        if refused is None:
            return
        refusals = 0
        for hook in HOOKS:
            error = _caught(stage, hook, refused)
            if stage.reached or error is None:
                continue
            refusals += 1
            _must_be_clear(hook, error)
        assert refusals, "the profile of the fixture refused is not refused by any hook: raise before the yield"

    def test_its_import_is_cheap(self, observer: object, stage: Stage) -> None:  # noqa: ARG002  skips what does not fit
        """Importing the observer loads no heavy library: import those inside the functions that need them."""
        if not isinstance(observer, types.ModuleType):
            return
        command = [sys.executable, "-c", _IMPORT, observer.__name__, _HEAVY]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=DEADLINE, check=False)  # noqa: S603  this Python
        assert done.returncode == 0, f"the observer cannot be imported by itself: {done.stderr}"
        assert not done.stdout.strip(), (
            f"importing the observer also imports {done.stdout.strip()}: import it inside the function that needs it"
        )


def _misfit(observer: object) -> str:
    """Return why the core would not accept an observer; empty if it would."""
    try:
        Stage(observer)
    except PluginBroken as error:
        return f"freshkey refuses it: {error.message}. {error.hint or ''}"
    except Exception as error:  # noqa: BLE001  of a plugin that cannot even be looked at
        return f"it cannot be registered: {type(error).__name__}: {error}"
    return ""


def _caught(stage: Stage, hook: str, profile: Profile) -> BaseException | None:
    try:
        stage.call(hook, profile)
    except Exception as error:  # noqa: BLE001  the checks look at it
        return error
    return None


def _must_not_refuse(stage: Stage, hook: str, error: BaseException | None) -> None:
    if error is None or stage.reached:
        return
    _must_be_clear(hook, error)
    pytest.fail(
        f"{hook}: it refuses the profile {getattr(error, 'profile', None)!r}: let the fixture profile return one that"
        " it allows, and the fixture refused one that it does not"
    )


def _must_be_clear(hook: str, error: BaseException) -> None:
    if isinstance(error, PluginBroken):
        pytest.fail(
            f"{hook}: {error.message}: yield exactly once; to refuse a call, raise an error of freshkey.errors before"
            " the yield, such as ProviderRefused"
        )
    assert isinstance(error, FreshkeyError)
    assert error.message.strip(), f"{hook}: it refuses with an empty message: say what is not allowed"
    assert error.hint, f"{hook}: its refusal has no hint: say what the user can do, as hint=…"


def _name(error: BaseException | None) -> str:
    return "nothing" if error is None else type(error).__name__


def _below(places: Collection[Path]) -> list[Path]:
    return [path for place in places for path in (place, *(place.rglob("*") if place.is_dir() else ()))]
