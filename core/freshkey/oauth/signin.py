"""One sign-in attempt: the browser redirect and a pasted response race, and the first one wins."""

from __future__ import annotations

import functools
import secrets
import threading
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from attrs import define, field, frozen

from freshkey._http.messages import Fields
from freshkey.clock import Clock
from freshkey.errors import LoginRequired, ProtocolError
from freshkey.model.interaction import Interaction, NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.redirect import RedirectListener
from freshkey.oauth.browser import safe_url
from freshkey.oauth.callback import read_pasted
from freshkey.oauth.client import OAuthClient
from freshkey.oauth.loopback import LoopbackListener
from freshkey.oauth.protocol import NOTHING, Grant, Pkce, Server, authorization_address, authorization_fields, new_state
from freshkey.oauth.pushed import Push, PushedTarget
from freshkey.oauth.pushed import push as push_request
from freshkey.secret import Secret


TIMEOUT: Final = 300.0
"""Seconds that the user has to sign in."""

MAX_PASTES: Final = 5
"""Number of wrong pastes after which only the browser can finish the attempt."""

_PROMPT_TIMEOUT: Final = 2.0
"""Seconds to wait for a canceled prompt to return."""


def authorize(
    profile: Profile,
    client: OAuthClient,
    interaction: Interaction,
    *,
    scopes: tuple[str, ...],
    redirect_path: str = "/callback",
    redirect_host: str = "127.0.0.1",
    paste_redirect_uri: str | None = None,
    bare_code: bool = False,
    extra: Fields = NOTHING,
    timeout: float = TIMEOUT,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Grant:
    """Sign the user in and return the authorization code (RFC 6749, section 4.1; RFC 8252).

    The browser is redirected to a loopback port, and is sent to the server from there: what is opened is an address of
    that port, so that no argument list has the state. A user whose browser runs on another machine visits the URL in
    the prompt and pastes the response instead: the code from the provider's page if `paste_redirect_uri` is set,
    otherwise the full URL from the address bar. Both ways share one PKCE pair and one state, and the first valid
    response wins.

    If the server has an endpoint for it, the client sends the request there first (RFC 9126); if that fails, the
    sign-in goes on without it, unless the server accepts nothing else.

    Args:
        profile: The profile, whose clock measures `timeout`, and whose `Profile.redirect_port` is that of the redirect.
        client: Its client, at the server that the user signs in to.
        interaction: How to reach the user.
        scopes: The scopes to request.
        redirect_path: Path of the loopback redirect URI, as registered with the provider.
        redirect_host: Its host; see `LoopbackListener`.
        paste_redirect_uri: A page of the provider that displays the code, as registered.
        bare_code: Whether that page displays the code without its state.
        extra: Additional parameters of the authorization request; never a secret.
        timeout: Seconds until the attempt is aborted.
        random: Returns the given number of random bytes.

    Raises:
        LoginRequired: There is no user to ask, the user declined, the attempt timed out, or its local address was
            opened by two parties of which one may be someone else.
        ProviderRefused: The server rejected the request.
        ConfigurationError: There is no authorization endpoint, or it is not safe to open in a browser.
        TransientError: No loopback port could be bound, or not `Profile.redirect_port`.
    """
    client.ensure_authenticates()
    state, server, clock = new_state(random), client.server, profile.clock
    pkce = Pkce.create(random)
    listen = functools.partial[RedirectListener](profile.listen or LoopbackListener, state=state, server=server)
    port, notice = profile.redirect_port, interaction.notice
    with listen(path=redirect_path, host=redirect_host, port=port, notice=notice) as listener:
        fields = functools.partial(
            authorization_fields, client_id=client.client_id, scopes=scopes, state=state, pkce=pkce, extra=extra
        )
        targets = _Targets(
            server=server,
            push=client.push if server.pushed_authorization_request_endpoint else None,
            interaction=interaction,
            clock=clock,
            check=functools.partial(safe_url, allow_insecure_loopback=profile.allow_insecure_loopback),
            fields=fields,
        )
        proof = functools.partial(_Attempt, server=server, pkce=pkce, state=state, bare_code=bare_code)
        attempt = targets.attempt(proof, listener, paste_redirect_uri)
        return _race(attempt, listener, interaction, clock, timeout)


@frozen(kw_only=True)
class _Targets:
    """Makes the URLs of one attempt: plain ones, and those that refer to a pushed request."""

    server: Server
    push: Push | None
    interaction: Interaction
    clock: Clock
    check: Callable[[str], str]
    fields: Callable[..., Fields]

    def attempt(self, make: Callable[..., _Attempt], listener: RedirectListener, paste_uri: str | None) -> _Attempt:
        """Return the attempt with its URLs, and have the browser sent to one of them."""
        loopback = self._target(self.fields(redirect_uri=listener.redirect_uri))
        return make(
            loopback_uri=listener.redirect_uri,
            loopback_url=loopback.plain,
            start_url=listener.start_at(loopback),
            paste_uri=paste_uri,
            paste_url=self._printed(self.fields(redirect_uri=paste_uri)) if paste_uri else None,
        )

    def _target(self, fields: Fields) -> PushedTarget:
        """Return where the browser is sent that opens the start address."""
        plain = self.check(authorization_address(self.server, fields))
        pushed = self._pushed(fields)
        if pushed is None:
            return PushedTarget(plain, None, 0.0, self.clock)
        url, ends_at = pushed
        return PushedTarget(url if self.server.par_required else plain, url, ends_at, self.clock)

    def _printed(self, fields: Fields) -> str:
        """Return a URL that the user copies. The pushed one would soon end, so it is used only if it must be."""
        pushed = self._pushed(fields) if self.server.par_required else None
        return pushed[0] if pushed else self.check(authorization_address(self.server, fields))

    def _pushed(self, fields: Fields) -> tuple[str, float] | None:
        if self.push is None or isinstance(self.interaction, NonInteractive):  # which opens nothing
            return None
        pushed = push_request(self.server, self.push, fields, self.clock, self.interaction)
        return pushed and (self.check(pushed[0]), pushed[1])


@frozen(kw_only=True)
class _Attempt:
    """What the redirect and the paste share."""

    server: Server
    pkce: Pkce
    state: str = field(repr=False)
    loopback_uri: str
    loopback_url: str
    start_url: str
    paste_uri: str | None
    paste_url: str | None
    bare_code: bool

    def grant(self, code: Secret, redirect_uri: str) -> Grant:
        return Grant(code=code, redirect_uri=redirect_uri, pkce=self.pkce, state=self.state)

    def pasted(self, text: str) -> Grant:
        """Read a paste, raising like `read_pasted`; how it starts determines which redirect URI it belongs to."""
        code = read_pasted(text, state=self.state, server=self.server, bare_code=self.bare_code)
        if self.paste_uri is None or text.strip().startswith(self.loopback_uri + "?"):
            return self.grant(code, self.loopback_uri)
        return self.grant(code, self.paste_uri)

    @property
    def prompt(self) -> str:
        """The prompt for the paste, with a warning, because phishers ask for the same code."""
        warning = "Paste it only here, never into a web page or a message"
        if self.paste_url is None:
            steps = "there, and paste the full URL that its address bar shows in the end"
            return f"If your browser runs on another machine, visit\n{self.loopback_url}\n{steps}. {warning}: "
        return f"If no browser opened, visit\n{self.paste_url}\nand paste the code shown there. {warning}: "


@define
class _Race:
    """Collects the outcomes of several threads; the first one counts."""

    over: threading.Event = field(init=False, factory=threading.Event)
    _outcomes: list[Grant | BaseException] = field(init=False, factory=list)

    def enter(self, name: str, runner: Callable[[], Grant | None]) -> threading.Thread:
        """Start a runner. Its result or exception ends the race, unless the result is None."""
        thread = threading.Thread(target=self._run, args=(runner,), name=f"freshkey-{name}", daemon=True)
        thread.start()
        return thread

    def _run(self, runner: Callable[[], Grant | None]) -> None:
        try:
            outcome: Grant | BaseException | None = runner()
        except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
            outcome = error
        if outcome is not None:
            self._outcomes.append(outcome)
            self.over.set()

    def result(self) -> Grant | None:
        """Return or raise the first runner's outcome; None if there is none."""
        outcome = self._outcomes[0] if self._outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def _race(
    attempt: _Attempt, listener: RedirectListener, interaction: Interaction, clock: Clock, timeout: float
) -> Grant:
    race = _Race()
    threads = [race.enter("loopback", lambda: _listen(attempt, listener, race.over))]
    try:
        interaction.progress(f"Signing in at {urlsplit(attempt.loopback_url).hostname}")
        interaction.open_url(attempt.start_url)
        threads.append(race.enter("paste", lambda: _paste(attempt, interaction, race.over)))
        clock.wait(race.over, timeout)
    finally:
        race.over.set()
        for thread in threads:
            thread.join(_PROMPT_TIMEOUT)
    grant = race.result()
    if grant is None:
        raise LoginRequired(
            f"sign-in timed out after {timeout:g} s",
            hint=f"If the browser showed an error, check that {attempt.loopback_uri} is registered for the client, with"
            " any port. Then start the sign-in again",
            code="sign-in-timed-out",
        )
    return grant


def _listen(attempt: _Attempt, listener: RedirectListener, given_up: threading.Event) -> Grant | None:
    code = listener.wait(given_up)
    return None if code is None else attempt.grant(code, attempt.loopback_uri)


def _paste(attempt: _Attempt, interaction: Interaction, given_up: threading.Event) -> Grant | None:
    for _ in range(MAX_PASTES):
        try:
            text = interaction.read_code(attempt.prompt, given_up)
        except LoginRequired:
            return None  # there is no prompt, but the browser can still finish the sign-in
        if text is None:
            return None
        try:
            return attempt.pasted(text.reveal())
        except ProtocolError as error:
            interaction.notice(f"Invalid input: {error}")
    interaction.notice("Too many invalid pastes; finish the sign-in in your browser")
    return None
