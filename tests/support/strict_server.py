"""A server with single-use refresh tokens that detects reuse, and knows whether the reuse was justified."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING, Final

from attrs import frozen

from freshkey import _failpoints
from freshkey._renewal.repetition import MIN_DISTANCE
from freshkey._renewal.retry import LOST_ANSWER_RETRIES, MAX_PAUSE, attempt_floor
from freshkey.errors import (
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProviderRefused,
    TransientError,
)
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Inspection, Validity
from freshkey.model.interaction import Interaction
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret


if TYPE_CHECKING:
    from one_machine import Client, Machine

MAX_REQUESTS: Final = 4
"""Maximum requests of one renewal, by the retry policy."""

MAX_LOSSES: Final = 1 + 2 * LOST_ANSWER_RETRIES + 1
"""Maximum lost responses for one token in ten minutes: the first renewal may retry, so may the renewals after it, and
there is one more try when the access token has expired."""

ASKED: Final = 90.0
"""``Retry-After`` of a busy server, in seconds."""


@frozen
class Request:
    """One refresh request: its time, its token, and whether the user requested it."""

    at: float
    number: int
    by_user: bool


class StrictServer:
    """Renews tokens in families; a family is revoked when one of its tokens is used twice.

    Attributes:
        grace: Seconds within which a spent token gets the same successor again.
        lifetime: Lifetime of access tokens in seconds.
        script: What happens to the next requests: ``busy``, ``fails``, ``refuses``; ``vanishes`` loses the request,
            ``loses`` loses the response, ``breaks`` breaks the plugin after the response, ``slow`` waits first, a
            ``page`` is sent by something in between.
        spells: Until when there is no connection (``down``), every response is lost, even refusals (``mute``), every
            response is a failure (``ill``), or something in between sends each of them (``portal``).
        ends: When each access token expires; the server has the same clock as the clients.
        issued: When each token was issued.
        unanswered: Number of requests with a token that got no response, although the client lives.
        lost_at: When those that the user did not ask for were sent.
        family: The family of each token; revoked families are in `dead`.
    """

    def __init__(self, machine: Machine, *, grace: float, lifetime: float) -> None:
        self.machine = machine
        self.grace = grace
        self.lifetime = lifetime
        self.script: deque[str] = deque()
        self.spells: dict[str, float] = {}
        self.ends: dict[int, float] = {}
        self.issued: dict[int, float] = {}
        self.requests: list[Request] = []
        self.unanswered: Counter[int] = Counter()
        self.lost_at: defaultdict[int, list[float]] = defaultdict(list)
        self.family: dict[int, int] = {}
        self.dead: set[int] = set()
        self._spent: dict[int, tuple[int, float]] = {}
        self._spender: dict[int, Client] = {}
        self._strangers: set[int] = set()
        self._busy = False

    # --- what clients see -------------------------------------------------------------------------------------

    def detect(self, profile: Profile, source: Source) -> Detected | None:
        return None

    def setup(self, profile: Profile, source: Source) -> str | None:
        return None

    def inspect(self, profile: Profile, credential: Credential) -> Inspection:
        return Inspection(validity=Validity.UNCHECKABLE)

    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        self.machine.step("sign-in")
        self._must_be_up()
        number = self._issue(len(self.ends) + 1)
        return self._token(number)

    def revoke(self, description: object, profile: Profile, credential: Credential) -> bool:
        self.machine.step("revoke")
        self._must_be_up()
        self.dead.add(self.family[_number(credential)])
        return True

    def refresh(self, profile: Profile, credential: Credential, reporter: object, reason: object) -> Credential:
        number = _number(credential)
        self.machine.step("connect")
        self._must_be_up()
        self._judge(number)
        self._busy = True
        try:
            return self._answer(number)
        except IntermediaryAnswer:
            raise
        except (OutcomeUnknown, PluginBroken):
            self.unanswered[number] += 1
            if not self.requests[-1].by_user:
                self.lost_at[number].append(self.requests[-1].at)
            raise
        finally:
            self._busy = False

    def _answer(self, number: int) -> Credential:
        mode = self.script.popleft() if self.script else ""
        if self._under("ill"):
            mode = "fails"
        if mode == "page" or self._under("portal"):
            raise IntermediaryAnswer("a page", may_be_refusal=mode == "page")
        if mode == "slow":
            _failpoints.hit("request_sent")
        if mode == "vanishes":
            raise OutcomeUnknown("the request was lost")
        _turn_down(mode)
        try:
            newer = self._token(self._rotate(number, self.machine.acting.client if self.machine.acting else None))
        except LoginRequired:
            if self._under("mute"):
                raise OutcomeUnknown("the refusal was lost") from None
            raise
        if mode != "slow":
            _failpoints.hit("request_sent")
        if mode == "loses" or self._under("mute"):
            raise OutcomeUnknown("the response was lost")
        if mode == "breaks":
            raise PluginBroken("cannot parse the response", plugin="example")
        return newer

    # --- theft ------------------------------------------------------------------------------------------------

    def steal(self) -> None:
        """Renew with the newest saved token, like a thief who copied it."""
        number = self.machine.number
        if number and number not in self._spent and self.alive(number):
            self._strangers.add(number)
            self._rotate(number, None)

    def alive(self, number: int) -> bool:
        """Return whether a refresh token would be accepted."""
        if number not in self.family or self.family[number] in self.dead:
            return False
        return number not in self._spent or self._repeats(number)

    # --- inside -----------------------------------------------------------------------------------------------

    def _under(self, spell: str) -> bool:
        return self.machine.clock.elapsed() < self.spells.get(spell, 0.0)

    def _must_be_up(self) -> None:
        if self._under("down"):
            raise TransientError("no connection")

    def _rotate(self, number: int, client: Client | None) -> int:
        if self._repeats(number) and self.family[number] not in self.dead:
            return self._spent[number][0]
        if number in self._spent and self.family[number] not in self.dead:
            self._judge_reuse(number)
            self.dead.add(self.family[number])
        if self.family[number] in self.dead:
            raise LoginRequired("the server no longer knows the refresh token")
        newer = self._issue(self.family[number])
        self._spent[number] = newer, self.machine.clock.elapsed()
        if client is not None:
            self._spender[number] = client
        return newer

    def _repeats(self, number: int) -> bool:
        newer, spent = self._spent.get(number, (0, 0.0))
        within = self.machine.clock.elapsed() - spent <= self.grace
        return bool(newer and self.grace and within and newer not in self._spent)

    def _issue(self, family: int) -> int:
        number = len(self.ends) + 1
        self.issued[number] = self.machine.clock.elapsed()
        self.ends[number] = self.issued[number] + self.lifetime
        self.family[number] = family
        return number

    def _token(self, number: int) -> OAuthToken:
        return OAuthToken(
            obtained=self.machine.clock.now(),
            lifetime=self.ends[number] - self.machine.clock.elapsed(),
            source="login",
            access_token=Secret(f"at-{number}"),
            refresh_token=Secret(f"rt-{number}"),
        )

    # --- the judge --------------------------------------------------------------------------------------------

    def _judge(self, number: int) -> None:
        machine, now = self.machine, self.machine.clock.elapsed()
        if self._busy:
            machine.blame("I1", "two refresh requests at a time")
        if machine.number > number:
            machine.blame("I2", f"token {number} was sent although {machine.number} is saved")
        if machine.durable.record is not None and machine.durable.record.payload is None:
            machine.blame("I2", f"token {number} was sent after a sign-out")
        by_user = machine.acting is not None and machine.acting.by_user
        recent = sum(now - at < MIN_DISTANCE for at in self.lost_at[number])
        if recent >= MAX_LOSSES and not by_user and not machine.may_have_lost_an_intent:
            machine.blame("I3", f"token {number} was sent again after {recent} lost responses")
        self.requests.append(Request(now, number, by_user))
        self._judge_pace(now)

    def _judge_pace(self, now: float) -> None:
        machine = self.machine
        begin = now - attempt_floor(self.lifetime)
        recent = [request for request in self.requests if request.at > begin and not request.by_user]
        # A client that dies tells no other client to wait, and without hints each client has only its own pace.
        clients = len(machine.clients) if machine.hints_failed > begin - MAX_PAUSE else 1
        clients += sum(death > begin for death in machine.deaths)
        if len(recent) > MAX_REQUESTS * clients:
            machine.blame("I7", f"{len(recent)} requests in {now - begin:g} s")

    def _judge_reuse(self, number: int) -> None:
        spender = self._spender.get(number)
        excused = number in self._strangers or self.unanswered[number] > 0 or (spender is not None and spender.dead)
        if not excused:
            self.machine.blame("I3", f"token {number} was used twice although its response had arrived")


def _number(credential: Credential) -> int:
    secret = credential.renewal_secret
    assert secret is not None
    return int(secret.reveal().partition("-")[2])


def _turn_down(mode: str) -> None:
    errors = {
        "busy": TransientError("busy", retry_after=ASKED),
        "fails": TransientError("it fails"),
        "refuses": ProviderRefused("the client is unknown"),
    }
    if mode in errors:
        raise errors[mode]
