"""The authorization server as tests use it: its URLs, its behavior, its faults, and its log."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self

from attrs import evolve

from freshkey import Clock
from freshkey.plugin import SYSTEM
from freshkey_testing.server.account import Account
from freshkey_testing.server.client_check import ClientCheck
from freshkey_testing.server.faults import Faults, outage_answer
from freshkey_testing.server.grants import Grant, Grants
from freshkey_testing.server.id_token import IdTokens
from freshkey_testing.server.log import Entry, Log
from freshkey_testing.server.policy import Policy
from freshkey_testing.server.routes import Act, Endpoints, urls_at
from freshkey_testing.server.wire import Answer, Asked, Listener


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

CLIENT_ID: Final = "freshkey-test-client"


class AuthorizationServer:
    """An OAuth authorization server on an ephemeral port of 127.0.0.1; a context manager.

    It knows one client, which is public unless the policy says how it authenticates, requires PKCE with S256, and
    immediately approves every sign-in for the account that the test chose. Faults can be set for the endpoints
    ``authorize``, ``token``, ``revoke``, ``device``, ``profile``, ``userinfo``, ``resource`` and ``metadata``.

    Args:
        policy: The server's behavior; may be changed while it runs.
        account: The account that approves sign-ins.
        clock: Decides when codes and tokens expire.
        client_id: The one client the server knows.
        client_public_key: Its public key in PEM format, for ``private_key_jwt``.

    Attributes:
        policy: As given; change its attributes, do not replace the object.
        account: The account that approves the next sign-in; may be changed while the server runs.
        client_id: As given.
        client_secret: Its secret, made up for this server.
        token_fields: Returns the fields of a token response that are not in RFC 6749; may be replaced.
        urls: The URLs of the endpoints.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        account: Account | None = None,
        clock: Clock = SYSTEM,
        client_id: str = CLIENT_ID,
        client_public_key: str | None = None,
    ) -> None:
        self.policy: Final = policy or Policy()
        self.account = account or Account()
        self.client_id = client_id
        self.token_fields: Callable[[Account], Mapping[str, object]] = Account.token_fields
        self._lock = threading.Lock()
        self._log = Log()
        self._faults = Faults()
        self._grants = Grants(self.policy, clock, self._log)
        self._listener = Listener(self._answer)
        self.urls = urls_at(f"http://127.0.0.1:{self._listener.port}")
        self.client_secret: Final = self._grants.make_secret("client")
        self._clock = clock
        self._id_tokens = IdTokens(
            self.policy, issuer=self.urls.issuer, client_id=client_id, client_secret=self.client_secret, clock=clock
        )
        self._endpoints = Endpoints(
            self.policy,
            self._grants,
            self.urls,
            client_id=client_id,
            check=self._check_with(client_public_key),
            id_token=self._id_token,
            keys=self._id_tokens.keys,
            account=lambda: self.account,
            extra=self._extra,
            now=clock.elapsed,
        )
        self._requests: list[Asked] = []

    # --- running ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faults.release()
        self._listener.stop()
        if error is None and self._listener.failures:
            raise self._listener.failures[0]

    def settings(self) -> dict[str, object]:
        """Return settings for a ``claude_oauth`` profile that uses this server."""
        return {
            "client_id": self.client_id,
            "authorize_url": self.urls.authorize,
            "token_url": self.urls.token,
            "revoke_url": self.urls.revoke,
            "device_url": self.urls.device,
            "profile_url": self.urls.profile,
            "allow_insecure_loopback": True,
        }

    # --- what it did -----------------------------------------------------------------------------------------

    @property
    def log(self) -> list[Entry]:
        """Everything the server has done so far, oldest first."""
        return self._log.entries()

    def count(self, kind: str) -> int:
        """Return the number of log entries of `kind`."""
        return self._log.count(kind)

    def wait_for(self, kind: str, count: int = 1, timeout: float = 10.0) -> None:
        """Block until there are at least `count` log entries of `kind`.

        Raises:
            TimeoutError: There were fewer after `timeout` real seconds.
        """
        self._log.wait_for(kind, count, timeout)

    @property
    def requests(self) -> list[Asked]:
        """The requests so far, oldest first. They contain secrets: check them, but never print them."""
        with self._lock:
            return list(self._requests)

    def secrets(self) -> frozenset[str]:
        """Return every code, verifier and token that was ever issued or received."""
        with self._lock:
            return frozenset(self._grants.secrets)

    # --- what goes wrong -------------------------------------------------------------------------------------

    def next_response(
        self, status: int, body: bytes | str = b"", headers: Mapping[str, str] | None = None, *, endpoint: str = "token"
    ) -> None:
        """Send this response to the next request at `endpoint` without acting on the request; calls queue up."""
        raw = body.encode() if isinstance(body, str) else body
        given = headers if headers is not None else {"Content-Type": "application/json"}
        self._faults.instead(endpoint, Answer(status=status, body=raw, headers=given))

    def drop_next_answer(self, times: int = 1, *, endpoint: str = "token") -> None:
        """Act on the next requests at `endpoint`, but close the connection without a response."""
        self._faults.lose_answers(endpoint, times)

    def drop_next_request(self, *, endpoint: str = "token") -> None:
        """Close the connection of the next request at `endpoint` without acting on it."""
        self._faults.instead(endpoint, Answer(status=0, broken=True))

    def fail_with(self, status: int, *, retry_after: float | str | None = None, endpoint: str = "token") -> None:
        """Respond with `status` at `endpoint`, without acting on requests, until `recover`."""
        after = f"{retry_after:g}" if isinstance(retry_after, int | float) else retry_after
        self._faults.outage(endpoint, outage_answer(status, after))

    def recover(self, *, endpoint: str = "token") -> None:
        """End an outage started by `fail_with`."""
        self._faults.recover(endpoint)

    def hold(self, *, endpoint: str = "token") -> None:
        """Act on requests at `endpoint`, but hold the responses until `release`, for at most one minute."""
        self._faults.hold(endpoint)

    def release(self) -> None:
        """Send all held responses."""
        self._faults.release()

    def wait_until_held(self, count: int = 1, timeout: float = 10.0, *, endpoint: str = "token") -> None:
        """Block until `count` responses of `endpoint` are being held.

        Raises:
            TimeoutError: There were fewer after `timeout` real seconds.
        """
        self._faults.wait_until_held(endpoint, count, timeout)

    def trust(self, assertion: str) -> None:
        """From now on, exchange this assertion for an access token of the account that the test chose."""
        with self._lock:
            self._grants.trusted.add(assertion)

    def script_device(self, *answers: str) -> None:
        """Script the responses to the next polls: ``pending``, ``slow_down``, ``denied``, ``expired`` or ``approved``.

        Without a script, the response depends on what the user did on the verification page.

        Raises:
            ValueError: An answer is none of these.
        """
        with self._lock:
            self._endpoints.device.plan(answers)

    def expire_access_tokens(self) -> None:
        """Expire every access token now, before its announced expiry; refresh tokens stay valid."""
        with self._lock:
            self._grants.expire_access_tokens()

    def revoke_grants(self) -> None:
        """Revoke every sign-in, as an administrator would."""
        with self._lock:
            self._grants.end_all()

    def forget(self) -> None:
        """Forget every sign-in, like a restarted server that keeps them in memory."""
        with self._lock:
            self._grants.forget()

    # --- answering -------------------------------------------------------------------------------------------

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            self._requests.append(asked)
            request_id = f"req-{len(self._requests)}"
        endpoint, act = self._endpoints.at(asked.path)
        answer = self._faults.play(endpoint, lambda: self._act(act, asked), self._note_fault)
        return evolve(answer, headers={"Request-Id": request_id, **answer.headers})

    def _act(self, act: Act, asked: Asked) -> Answer:
        with self._lock:
            return act(asked)

    def _note_fault(self, what: str) -> None:
        self._grants.note("fault", detail=what)

    def _check_with(self, client_public_key: str | None) -> ClientCheck:
        return ClientCheck(
            self.policy,
            client_id=self.client_id,
            secret=self.client_secret,
            public_key=client_public_key,
            audiences=(self.urls.issuer, self.urls.token),
            clock=self._clock,
        )

    def _id_token(self, grant: Grant) -> str:
        token = self._id_tokens.token(grant)
        self._grants.secrets.add(token)
        return token

    def _extra(self, account: Account) -> Mapping[str, object]:
        return self.token_fields(account)
