"""A real provider and server, with a network between them that a test controls, and a clock that waiting moves."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from fault_proxy import FaultProxy
from freshkey import Configuration, Keeper
from freshkey_testing import AuthorizationServer, ManualClock, ScriptedUser
from freshkey_testing.browser import follow
from waiting import until


class PassingClock(ManualClock):
    """A clock that is moved by waiting, except for the user, so that pauses take no real time.

    Attributes:
        stands: Whether waiting currently does not move it.
    """

    stands = False

    def wait(self, event: threading.Event, timeout: float) -> bool:
        if self.stands:
            return super().wait(event, timeout)
        self.advance(timeout)
        return event.is_set()


class Line:
    """One machine and one server; a context manager.

    Args:
        folder: The directory of the machine's state.

    Attributes:
        clock: The clock of both.
        server: The authorization server.
        proxy: The proxy in front of the server's token endpoint.
        state_dir: The machine's state.
    """

    def __init__(self, folder: Path, **proxy: Any) -> None:
        self.clock = PassingClock(wall=time.time())
        self.server = AuthorizationServer(clock=self.clock)
        self._token = urlsplit(self.server.urls.token)
        assert self._token.port is not None
        self.proxy = FaultProxy(self._token.port, **proxy)
        self.state_dir = folder / "state"
        self._keepers: list[Keeper] = []

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.proxy.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for keeper in self._keepers:
            keeper.close()
        self.proxy.__exit__(kind, error, trace)
        self.server.__exit__(kind, error, trace)

    def keeper(self, *names: str, sign_in: bool = True, **settings: Any) -> Keeper:
        """Return a keeper whose profiles (``me`` by default) have just signed in; its timer does not run.

        Args:
            names: The profiles.
            sign_in: False for another process, which uses the existing sign-ins.
            settings: Additional settings of each profile.
        """
        table = {
            **self.server.settings(),
            "token_url": self.proxy.url(self._token.path),
            "provider": "claude_oauth",
            "store": "file",
            **settings,
        }
        names = names or ("me",)
        keeper = Keeper(
            configuration=Configuration.of(dict.fromkeys(names, table), state_dir=self.state_dir, default=names[0]),
            clock=self.clock,
            random=lambda: 0.0,
        )
        keeper._scheduler.wake = lambda: None  # type: ignore[method-assign]
        self._keepers.append(keeper)
        if sign_in:
            self._sign_in(keeper, names)
        return keeper

    def _sign_in(self, keeper: Keeper, names: tuple[str, ...]) -> None:
        self.clock.stands = True
        for name in names:
            with ScriptedUser(browser=follow) as user:
                keeper.login(name, interaction=user)
        self.clock.stands = False
        self.settle(keeper)
        self.proxy.requests.clear()

    def settle(self, keeper: Keeper) -> None:
        """Wait until no renewal is in progress."""
        for managed in keeper.all_managed():
            until(lambda managed=managed: managed._future is None, "rest")  # type: ignore[misc]

    def run_once(self, keeper: Keeper) -> None:
        """Run a keeper's timer once, and wait for what it started."""
        keeper._scheduler.run_once()
        self.settle(keeper)

    def stored(self) -> dict[str, bytes]:
        """Return the content of the store's files."""
        return {path.name: path.read_bytes() for path in (self.state_dir / "store").rglob("*") if path.is_file()}
