"""Identity tokens exchanged at a double of a security token service, through a keeper, across an expiry.

No real server that a test can run takes the tokens of a foreign identity provider, so this one is a double. It checks
every signature, audience and end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from counterparts.actions import ActionsTokens
from counterparts.exchanging import CLIENT_CREDENTIALS, JWT_BEARER_GRANT, TOKEN_EXCHANGE, IdentityProvider, TokenService
from freshkey import Configuration, Keeper
from freshkey.errors import LoginRequired
from freshkey_testing import ManualClock
from raises_code import raises_code


GRANTS = {"token-exchange": TOKEN_EXCHANGE, "jwt-bearer": JWT_BEARER_GRANT, "client-assertion": CLIENT_CREDENTIALS}


@pytest.fixture
def identity() -> IdentityProvider:
    return IdentityProvider()


@pytest.fixture
def service(identity: IdentityProvider) -> Iterator[TokenService]:
    with TokenService(identity) as service:
        yield service


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_keeper(service: TokenService, clock: ManualClock, tmp_path: Path) -> Iterator[Callable[..., Keeper]]:
    made: list[Keeper] = []

    def make(**settings: object) -> Keeper:
        table = {
            "provider": "oidc",
            "issuer": service.issuer,
            "client_id": service.client_id,
            "allow_insecure_loopback": True,
            **settings,
        }
        made.append(Keeper(configuration=Configuration.of({"ci": table}, state_dir=tmp_path / "state"), clock=clock))
        return made[-1]

    yield make
    for keeper in made:
        keeper.close()


@pytest.mark.parametrize("exchange", GRANTS)
def test_a_projected_file_is_read_again_for_each_exchange(  # noqa: PLR0917  fixtures
    exchange: str,
    service: TokenService,
    identity: IdentityProvider,
    clock: ManualClock,
    make_keeper: Callable[..., Keeper],
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    file.write_text(identity.token(service.audience), "utf-8")
    file.chmod(0o644)  # as Kubernetes projects it
    keeper = make_keeper(exchange=exchange, identity_token_file=str(file), resource=["https://api.example.test/"])
    first = keeper.get("ci")
    assert keeper.get("ci").token == first.token
    assert service.count(GRANTS[exchange]) == 1
    assert service.calls[-1].form["resource"] == ["https://api.example.test/"]

    file.write_text(identity.token(service.audience), "utf-8")
    clock.advance(61)
    assert keeper.get("ci").token != first.token
    assert service.count(GRANTS[exchange]) == 2
    sent = [call.form.get("subject_token") or call.form.get("assertion") for call in service.calls]
    assert sent[0] != sent[1] or exchange == "client-assertion"


@pytest.mark.parametrize("exchange", GRANTS)
def test_github_actions_is_asked_for_each_exchange(  # noqa: PLR0917  fixtures
    exchange: str,
    service: TokenService,
    identity: IdentityProvider,
    clock: ManualClock,
    make_keeper: Callable[..., Keeper],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ActionsTokens(identity) as actions:
        for name, value in actions.environment.items():
            monkeypatch.setenv(name, value)
        keeper = make_keeper(exchange=exchange, identity_token="github-actions")
        first = keeper.get("ci")
        clock.advance(61)
        assert keeper.get("ci").token != first.token
        assert actions.audiences == [service.issuer] * 2
        assert service.count(GRANTS[exchange]) == 2


@pytest.mark.parametrize("exchange", GRANTS)
def test_a_variable_with_a_token_that_is_over_is_refused(
    exchange: str,
    service: TokenService,
    identity: IdentityProvider,
    make_keeper: Callable[..., Keeper],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = identity.token(service.audience, lifetime=-10)
    monkeypatch.setenv("CI_TOKEN", token)
    keeper = make_keeper(exchange=exchange, identity_token_variable="CI_TOKEN")
    with raises_code(LoginRequired, "oidc-exchange-refused") as caught:
        keeper.get("ci")
    assert token not in str(caught.value)
    assert "identity token" in caught.value.message


def test_a_client_with_a_secret_exchanges_tokens(
    identity: IdentityProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIENT_SECRET", "a-client-secret-of-32-characters")
    with TokenService(identity, client_secret="a-client-secret-of-32-characters") as service:
        monkeypatch.setenv("CI_TOKEN", identity.token(service.audience))
        table = {
            "provider": "oidc",
            "issuer": service.issuer,
            "client_id": service.client_id,
            "client_secret_variable": "CLIENT_SECRET",
            "identity_token_variable": "CI_TOKEN",
            "allow_insecure_loopback": True,
        }
        with Keeper(configuration=Configuration.of({"ci": table}, state_dir=tmp_path)) as keeper:
            assert keeper.get("ci").token is not None
        assert service.count(TOKEN_EXCHANGE) == 1
