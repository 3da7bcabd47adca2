"""A provider of database leases: a machine's key gets one, renewals extend it, and a refused one is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import evolve, frozen

from freshkey.clock import Clock
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.interaction import Interaction, Reporter
from freshkey.model.profile import Profile
from freshkey.model.reason import Reason
from freshkey.model.source import Detected, Source
from freshkey.model.storage import CredentialStore
from freshkey.secret import Secret
from rotating import MACHINE, SIGN_IN, RotatingProvider


@frozen(kw_only=True)
class Lease(Credential):
    """A user of a database and its password, for a while."""

    user: str
    password: Secret
    issuer: str = "https://leases.example.com"

    @property
    def binding(self) -> Mapping[str, str]:
        return {"issuer": self.issuer}

    @property
    def renewable(self) -> bool:
        return True

    @property
    def used_for(self) -> str:
        return "database connections"


class LeaseProvider(RotatingProvider):
    """Issues leases, and extends them unless they were refused.

    Attributes:
        reasons: Why each renewal was called.
        extends: Whether it extends a refused lease, too, as it must not.
        key_is_there: Whether the machine has its key.
        ends_at_latest: `Credential.ends_at_latest` of the next lease.
        refuses: Raised by the next renewals, in order.
    """

    def __init__(self, clock: Clock, journal: list[str], store: CredentialStore) -> None:
        super().__init__(clock, journal, store)
        self.single_use = False
        self.revocable = False
        self.formats = {"lease": Lease}
        self.reasons: list[Reason] = []
        self.extends = False
        self.key_is_there = True
        self.ends_at_latest: datetime | None = None
        self.refuses: list[Exception] = []
        self._leases = 0

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        self.acquired.append(source.id)
        if source.id == SIGN_IN:
            interaction.open_url("https://as.example.com/authorize")
        if self.acquire_error is not None:
            raise self.acquire_error
        return self._lease()

    @hookimpl
    def refresh(  # type: ignore[override]  # a hook takes the arguments that it needs
        self, profile: Profile, credential: Credential, reporter: Reporter, reason: Reason
    ) -> Credential:
        self.reasons.append(reason)
        self.gate.wait()
        if self.refuses:
            raise self.refuses.pop(0)
        assert isinstance(credential, Lease)
        if reason is Reason.REFUSED and not self.extends:
            return self._lease()
        return evolve(credential, obtained=self.clock.now(), lifetime=self.lifetime, ends_at_latest=None)

    def _lease(self) -> Lease:
        self._leases += 1
        return Lease(
            obtained=self.clock.now(),
            lifetime=self.lifetime,
            ends_at_latest=self.ends_at_latest,
            user=f"user-{self._leases}",
            password=Secret(f"password-{self._leases}"),
        )

    def _sources(self) -> tuple[Source, ...]:
        machine = Source(id=MACHINE, title="This machine's key", owned=True, automatic=True, detect=self._look_at_key)
        return (machine, Source(id=SIGN_IN, title="A sign-in", owned=True, interactive=True))

    def _look_at_key(self, profile: Profile) -> Detected | None:
        return Detected(kind="key", origin="this machine") if self.key_is_there else None


def user_of(credential: Credential) -> str:
    """Return the database user of a lease."""
    assert isinstance(credential, Lease)
    return credential.user
