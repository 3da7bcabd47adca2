"""What the methods of a credential raise quotes no secret, however they are called."""

from __future__ import annotations

import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import field, frozen

from freshkey.adapters.engine import Exchange
from freshkey.clock import SYSTEM, Moment
from freshkey.errors import ConfigurationError, FreshkeyError, PluginBroken, TransientError
from freshkey.model.credential import Credential
from freshkey.model.verdict import Answer, Verdict
from freshkey.secret import Secret
from raises_code import raises_code


KEY = "zq7-canary-made-up-0123456789"
BROKEN = "plugin-hook-failed"


class OwnError(TransientError):
    def __str__(self) -> str:
        return KEY


@frozen(kw_only=True)
class Raising(Credential):
    """Raises `error` from the method `where`."""

    key: Secret = field(factory=lambda: Secret(KEY))
    obtained: Moment = field(factory=SYSTEM.now)
    where: str = "_headers"
    error: Any = RuntimeError

    def _fail(self, where: str) -> None:
        if self.where == where:
            raise self.error(f"bad token {self.key.reveal()}") from KeyError(self.key.reveal())

    def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        self._fail("_headers")
        return {"Authorization": self.key.reveal()}

    def _environment(self) -> dict[str, str]:
        self._fail("_environment")
        return {}

    def expired(self) -> bool:
        self._fail("expired")
        return False

    def judge(self, answer: Answer) -> Verdict:
        self._fail("judge")
        return super().judge(answer)


def use(credential: Raising) -> None:
    credential.headers()
    credential.environment()
    exchange = Exchange("GET", "https://x.example/", credential)
    exchange.headers(b"")
    exchange.after(SimpleNamespace(status=200, url="https://x.example/", incomplete=False))


@pytest.mark.parametrize("where", ["_headers", "_environment", "expired", "judge"])
@pytest.mark.parametrize("error", [RuntimeError, SystemExit, TransientError, ConfigurationError, OwnError])
def test_error_of_a_method_quotes_no_secret(where: str, error: type[BaseException]) -> None:
    """TRU-2: not in its text, its attributes, or the variables of its traceback."""
    credential = Raising(where=where, error=error)
    with pytest.raises(FreshkeyError) as caught:
        use(credential)
    shown = caught.value
    assert isinstance(shown, error if issubclass(error, FreshkeyError) and error is not OwnError else FreshkeyError)
    assert KEY not in f"{shown} {shown!r} {vars(shown)} {shown.args}"
    assert KEY not in "".join(traceback.format_exception(shown))
    assert (shown.__cause__, shown.__context__) == (None, None)
    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(shown.__traceback__)]
    assert "_fail" not in frames


def test_class_and_method_are_named() -> None:
    with raises_code(PluginBroken, BROKEN) as caught:
        use(Raising(where="judge"))
    assert "Raising is broken: judge() raised RuntimeError" in caught.value.message


def test_methods_that_do_not_raise_are_unchanged() -> None:
    assert Raising(where="").headers() == {"Authorization": KEY}
