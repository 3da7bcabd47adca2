"""A keeper that returns what a test chose, and the record of one run of the command line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self, cast

from attrs import define, field, frozen

from freshkey._accounts.status import HiddenSignIn
from freshkey._config.configuration import Configuration
from freshkey._config.profile_selection import Choice
from freshkey._sources.explain import Explanation
from freshkey._sources.precedence import Step
from freshkey.clock import SYSTEM
from freshkey.errors import ConfigurationError, subject
from freshkey.events import Event, SignedOut
from freshkey.expiry import Freshness
from freshkey.model.credential import ApiKey, Credential, OAuthToken
from freshkey.model.description import Description, Inspection, Validity
from freshkey.model.identity import Identity
from freshkey.model.interaction import Approve, Reporter
from freshkey.model.profile import Profile
from freshkey.model.sign_in_end import ends_soon
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret
from freshkey_testing import ManualClock


TOKEN = "at-canary-0123456789-abcd"
NEWER_TOKEN = "at-canary-9876543210-dcba"
REFRESH_TOKEN = "rt-canary-0123456789-wxyz"
ADA = Identity(email="ada@example.com", extra={"plan": "max"})

SIGN_IN = Source(id="sign-in", title="Sign-in", owned=True, interactive=True)
VARIABLE = Source(id="env", title="Environment", owned=False)


@frozen(kw_only=True)
class Token(OAuthToken):
    """A token with environment variables for a child process."""

    variables: tuple[tuple[str, str], ...] = ()

    def _environment(self) -> dict[str, str]:
        return dict(self.variables)


@frozen(kw_only=True)
class Signed(Credential):
    """A key that signs each request, as AWS credentials do: it has no headers without the URL."""

    key: Secret

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        if not url:
            raise ConfigurationError("an absolute URL is required", code="invalid-setting")
        return {"Authorization": "Signature"}

    def _environment(self) -> dict[str, str]:
        return {"APP_KEY": self.key.reveal()}


def signed() -> Signed:
    return Signed(obtained=SYSTEM.now(), key=Secret(TOKEN))


def token(**changes: Any) -> Token:
    clock = ManualClock()
    values: dict[str, Any] = {
        "obtained": clock.now(),
        "clock": clock,
        "lifetime": 3600.0,
        "source": "sign-in",
        "identity": ADA,
        "access_token": Secret(TOKEN),
        "refresh_token": Secret(REFRESH_TOKEN),
        "variables": (("APP_TOKEN", TOKEN),),
    }
    return Token(**values | changes)


def api_key() -> ApiKey:
    return ApiKey(obtained=SYSTEM.now(), key=Secret(TOKEN), header="X-Api-Key")


@define
class FakeKeeper:
    """Returns what its attributes say, and records calls."""

    configuration: Configuration | None = None
    credential: Credential = field(factory=token)
    newer: Credential = field(factory=lambda: token(access_token=Secret(NEWER_TOKEN)))
    fails: BaseException | None = None
    signed_out: SignedOut = field(factory=lambda: SignedOut(profile="me", revoked=True, detail="Revoked and deleted"))
    inspection: Inspection | Exception = field(
        factory=lambda: Inspection(validity=Validity.VALID, identity=ADA, detail="checked")
    )
    emits: tuple[Event, ...] = ()
    exports: Mapping[str, Callable[[Profile, Credential], str]] = field(factory=dict)
    sources: tuple[Source, ...] = ()
    hidden: HiddenSignIn | None = None
    detected: Detected | None = None
    overruled: dict[str, str] = field(factory=dict)
    ignored: tuple[str, ...] = ()
    listed: dict[str, tuple[str, ...]] = field(factory=dict)
    last_error: str | None = None
    freshness: Freshness = Freshness.FRESH
    asked: list[tuple[object, ...]] = field(factory=list)
    interaction: Any = None
    reporter: Reporter | None = None
    approve: Approve | None = None
    timeout: float | None = None
    at_terminal: bool = False
    closed: bool = False
    _callbacks: list[Callable[[Event], None]] = field(factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
        self._callbacks.clear()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def _answer(self, *asked: object) -> None:
        self.asked.append(asked)
        for event in self.emits:
            for callback in self._callbacks:
                callback(event)
        if self.fails is not None:
            raise self.fails

    def get(
        self, profile: str, *, min_ttl: float = 0, refused: Credential | None = None, account: str | None = None
    ) -> Credential:
        if refused is not None:
            self._answer("get", subject(profile, account), min_ttl, refused)
            return self.newer
        self._answer("get", subject(profile, account), min_ttl)
        return self.credential

    def login(
        self,
        profile: str,
        *,
        source: str | None = None,
        pasted: bool = False,
        replace: bool = False,
        interaction: Any = None,
        account: str | None = None,
    ) -> Credential:
        self.interaction = interaction
        self._answer(
            "login", subject(profile, account), "pasted" if pasted else source, *(["replace"] if replace else [])
        )
        return self.credential

    def import_key(
        self, profile: str, service: str, username: str, *, reporter: Reporter, account: str | None = None
    ) -> Credential:
        self.reporter = reporter
        self._answer("import_key", subject(profile, account), service, username)
        return self.credential

    def refresh(self, profile: str, *, account: str | None = None) -> Credential:
        self._answer("refresh", subject(profile, account))
        return self.credential

    def logout(self, profile: str, *, account: str | None = None) -> SignedOut:
        self._answer("logout", subject(profile, account))
        return self.signed_out

    def inspect(self, profile: str, *, account: str | None = None) -> Inspection:
        self._answer("inspect", subject(profile, account))
        if isinstance(self.inspection, Exception):
            raise self.inspection
        return self.inspection

    def describe(self, profile: str) -> Description:
        return Description(
            title="A provider",
            settings=object,
            formats={},
            sources=self.sources,
            exports=self.exports,
            variables=("APP_TOKEN", "APP_KEY", "APP_PROFILE"),
        )

    def export(self, format_name: str, credential: Credential, profile: str, *, account: str | None = None) -> str:
        made = Profile(name=profile, provider="x", settings=None, state_dir=Path())
        return self.exports[format_name](made, credential)

    def explain(self, profile: str | None, *, account: str | None = None) -> Explanation:
        self._answer("explain", profile)
        detected = Detected(kind="API key", origin="environment variable APP_KEY", last_four="abcd")
        return Explanation(
            profile=profile or "me",
            account=account,
            selected_by="argument",
            provider="claude_oauth",
            selection=(
                Choice(place="argument", found=None, wins=False, why="names none"),
                Choice(place="default", found=profile or "me", wins=True, why="default in config.toml, line 1"),
            ),
            steps=(
                Step(source=VARIABLE, detected=detected, wins=profile in {None, "me"}, why="the first that is there"),
                Step(source=SIGN_IN, detected=None, wins=False, why="'env' comes first"),
            ),
        )

    def accounts(self, profile: str) -> tuple[str, ...]:
        return self.listed.get(profile, ())

    def status(self, profile: str, *, account: str | None = None) -> Any:
        if profile == "broken" and self.fails is not None:
            raise self.fails
        return SimpleNamespace(
            profile=Profile(name=profile, provider="claude_oauth", settings=None, state_dir=Path("/"), account=account),
            store="file",
            source="sign-in",
            generation=3,
            credential=None if profile in {"empty", "found"} else self.credential,
            freshness=None if profile in {"empty", "found"} else self.freshness,
            sign_in_needed="the server refused" if profile == "empty" else None,
            sign_in_code=None,
            last_error=self.last_error,
            last_error_code=None,
            sign_in_ending=ends_soon(self.credential, self.credential.clock.now(), failing=False),
            renews=True,
            next_step="Run: freshkey login empty" if profile == "empty" else None,
            hidden=self.hidden,
            detected=self.detected,
            overruled=self.overruled,
            ignored=self.ignored,
        )


@frozen(kw_only=True)
class Done:
    """One finished run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.out))

    @property
    def error(self) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.err.splitlines()[-1])["error"])

    @property
    def error_code(self) -> str | None:
        """The code of the last error that was printed as text."""
        codes = re.findall(r"^freshkey: .* \[([a-z-]+)\]", self.err, re.MULTILINE)
        return str(codes[-1]) if codes else None


Run = Callable[..., Done]


def hidden_sign_in() -> HiddenSignIn:
    """Return Ada's sign-in, hidden by a key in the environment."""
    detected = Detected(kind="API key", origin="environment variable APP_KEY", last_four="abcd")
    return HiddenSignIn(source=SIGN_IN, credential=token(), store="file", hidden_by=detected)


def finished(command: Sequence[str | Path], environ: Mapping[str, str], *, directory: Path | None = None) -> Done:
    """Run a real command without a terminal, and wait for it."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)
