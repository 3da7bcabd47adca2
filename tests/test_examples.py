"""The providers in docs/examples are short, and pass the contract as they are, without a socket."""

from __future__ import annotations

import base64
import importlib
import itertools
import json
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from freshkey import Credential, Keeper, Profile
from freshkey.errors import LoginRequired, NotForHttp, ProviderRefused
from freshkey.plugin import NonInteractive, Reason, Request, Response
from freshkey_testing import Lender, ManualClock, ProviderContract, ScriptedExchanges, ScriptedUser
from raises_code import raises_code
from source_tree import ROOT


FOLDER = ROOT / "docs" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
MAX_LINES = 120

MakeProfile = Callable[..., Profile]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_in_the_guide(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    guide = (ROOT / "docs" / "guides" / "examples.md").read_text("utf-8")
    assert f"<!-- include: docs/examples/{path.name} -->" in guide


@pytest.fixture(autouse=True)
def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", None)


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Import an example by its name, as the contract does in another process."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(name)


def refreshed(module: types.ModuleType, profile: Profile, held: Credential, reason: Reason) -> Credential:
    newer: Credential = module.refresh(profile, held, ScriptedUser(), reason)
    return newer


# --- an agent's file -------------------------------------------------------------------------------------------------


@pytest.fixture
def agent_file(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    return example("agent_file", monkeypatch)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("made-up-agent-token\n", "ascii")
    return path


@pytest.fixture
def agent(agent_file: types.ModuleType, freshkey_profile: MakeProfile, token_file: Path) -> Profile:
    return freshkey_profile(agent_file, {"path": str(token_file)})


class TestAgentFile(ProviderContract):
    @pytest.fixture
    def provider(self, agent_file: types.ModuleType) -> object:
        return agent_file

    @pytest.fixture
    def profile(self, agent: Profile) -> Profile:
        return agent

    @pytest.fixture
    def lenders(self, token_file: Path) -> Mapping[str, Lender]:
        return {"file": Lender(renew=lambda: token_file.write_text("made-up-newer-token"), remove=token_file.unlink)}


def test_a_token_that_is_due_is_read_again(agent_file: types.ModuleType, agent: Profile, token_file: Path) -> None:
    held = agent_file.acquire(agent, agent_file.FILE, NonInteractive("agent"))
    token_file.write_text("made-up-newer-token", "ascii")
    newer = refreshed(agent_file, agent, held, Reason.DUE)

    assert newer.headers() == {"Authorization": "Bearer made-up-newer-token"}


def test_what_was_refused_is_not_handed_out_again(
    agent_file: types.ModuleType, freshkey_keeper: Callable[..., Keeper], freshkey_clock: ManualClock, token_file: Path
) -> None:
    keeper = freshkey_keeper({"agent": agent_file}, {"me": {"provider": "agent", "path": str(token_file)}})
    held = keeper.get()
    freshkey_clock.advance(60)
    with raises_code(ProviderRefused, "credential-refused"):
        keeper.get(refused=held)
    token_file.write_text("made-up-newer-token", "ascii")
    freshkey_clock.advance(60)
    assert not keeper.get(refused=held).authorizes_like(held)


# --- a key in a variable ----------------------------------------------------------------------------------------------


@pytest.fixture
def environment_key(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.setenv("MY_KEY", "a-made-up-key-of-the-user")
    return example("environment_key", monkeypatch)


class TestEnvironmentKey(ProviderContract):
    @pytest.fixture
    def provider(self, environment_key: types.ModuleType) -> object:
        return environment_key


def test_a_variable_that_is_not_set_says_so(
    environment_key: types.ModuleType, freshkey_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = freshkey_profile(environment_key, {"variable": "MY_OTHER_KEY"})
    assert environment_key.detect(profile) is None
    with pytest.raises(LoginRequired, match="MY_OTHER_KEY is not set"):
        environment_key.acquire(profile, environment_key.VARIABLE, NonInteractive("mine"))
    monkeypatch.setenv("MY_OTHER_KEY", "a-made-up-key")
    held = environment_key.acquire(profile, environment_key.VARIABLE, NonInteractive("mine"))
    assert held.headers() == {"Authorization": "Bearer a-made-up-key"}


# --- an app's key ----------------------------------------------------------------------------------------------------

TOKEN_URL = "https://id.app.example/token"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def app_key(monkeypatch: pytest.MonkeyPatch, key: rsa.RSAPrivateKey) -> types.ModuleType:
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    monkeypatch.setenv("APP_PRIVATE_KEY", pem.decode("ascii"))
    return example("app_key", monkeypatch)


@pytest.fixture
def app(
    app_key: types.ModuleType, freshkey_profile: MakeProfile, freshkey_http: ScriptedExchanges, key: rsa.RSAPrivateKey
) -> Profile:
    numbers, seen = itertools.count(1), set[str]()

    def reply(request: Request) -> Response:
        claims = verified(request, key)
        assert claims["jti"] not in seen, "an assertion was sent twice"
        seen.add(claims["jti"])
        number = next(numbers)
        answer = {"access_token": f"made-up-token-{number}", "token_type": "Bearer", "expires_in": 3600}
        return freshkey_http.response(json=answer)

    freshkey_http.on("POST", TOKEN_URL, reply=reply)
    return freshkey_profile(app_key)


def verified(request: Request, key: rsa.RSAPrivateKey) -> dict[str, str]:
    """Return the claims of the assertion, whose signature must be that of the key."""
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    assert form["grant_type"] == "client_credentials"
    signed, _, signature = form["client_assertion"].rpartition(".")
    key.public_key().verify(decoded(signature), signed.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
    claims: dict[str, str] = json.loads(decoded(signed.partition(".")[2]))
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("my-app", "my-app", TOKEN_URL)
    return claims


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TestAppKey(ProviderContract):
    @pytest.fixture
    def provider(self, app_key: types.ModuleType) -> object:
        return app_key

    @pytest.fixture
    def profile(self, app: Profile) -> Profile:
        return app

    @pytest.fixture
    def not_renewable(self, app_key: types.ModuleType, app: Profile, monkeypatch: pytest.MonkeyPatch) -> Credential:
        """A token whose key is gone."""
        held: Credential = app_key.acquire(app, app_key.KEY, NonInteractive("app"))
        monkeypatch.delenv("APP_PRIVATE_KEY")
        return held


@pytest.mark.parametrize("reason", Reason)
def test_each_renewal_signs_another_assertion(app_key: types.ModuleType, app: Profile, reason: Reason) -> None:
    held = app_key.acquire(app, app_key.KEY, NonInteractive("app"))
    assert refreshed(app_key, app, held, reason).headers() == {"Authorization": "Bearer made-up-token-2"}


# --- a leased database login -----------------------------------------------------------------------------------------

LEASES = "https://leases.example"
TERM, LONGEST = 3600, 9000


@pytest.fixture
def database_lease(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.setenv("LEASE_TOKEN", "made-up-lease-token")
    return example("database_lease", monkeypatch)


@pytest.fixture
def database(
    database_lease: types.ModuleType, freshkey_profile: MakeProfile, freshkey_http: ScriptedExchanges
) -> Profile:
    numbers = itertools.count(1)

    def reply(_: Request) -> Response:
        number = next(numbers)
        login = {"lease": f"lease-{number}", "username": f"user-{number}", "password": f"made-up-password-{number}"}
        return freshkey_http.response(json={**login, "lease_duration": TERM, "max_duration": LONGEST})

    freshkey_http.on("POST", f"{LEASES}/leases", reply=reply)
    freshkey_http.on("POST", f"{LEASES}/extend", json={"lease_duration": TERM})
    return freshkey_profile(database_lease)


@pytest.fixture
def login(database_lease: types.ModuleType, database: Profile) -> Credential:
    held: Credential = database_lease.acquire(database, database_lease.LEASE, NonInteractive("database"))
    return held


class TestDatabaseLease(ProviderContract):
    @pytest.fixture
    def provider(self, database_lease: types.ModuleType) -> object:
        return database_lease

    @pytest.fixture
    def profile(self, database: Profile) -> Profile:
        return database

    @pytest.fixture
    def not_renewable(self, login: Credential, monkeypatch: pytest.MonkeyPatch) -> Credential:
        """A login whose token to ask with is gone."""
        monkeypatch.delenv("LEASE_TOKEN")
        return login


def asked(script: ScriptedExchanges) -> list[str]:
    return [request.url.rpartition("/")[2] for request in script.requests]


def test_a_lease_is_extended_until_its_latest_end_and_then_replaced(
    database_lease: types.ModuleType,
    database: Profile,
    freshkey_keeper: Callable[..., Keeper],
    freshkey_clock: ManualClock,
    freshkey_http: ScriptedExchanges,
) -> None:
    keeper = freshkey_keeper({"leases": database_lease})
    began, ends = freshkey_clock.now().wall, list[float]()
    for _ in range(5):
        freshkey_clock.advance(max(ends, default=0.0) + began - freshkey_clock.now().wall)
        held = keeper.get()
        ends.append(held.obtained.wall + (held.lifetime or 0.0) - began)

    assert asked(freshkey_http) == ["leases", "extend", "extend", "leases", "extend"]
    assert ends == pytest.approx([TERM, 2 * TERM, LONGEST, LONGEST + TERM, LONGEST + 2 * TERM])


def test_a_refused_login_is_replaced_instead_of_extended(
    database_lease: types.ModuleType, database: Profile, login: Credential, freshkey_http: ScriptedExchanges
) -> None:
    newer = refreshed(database_lease, database, login, Reason.REFUSED)

    assert asked(freshkey_http) == ["leases", "leases"]
    assert newer.environment() == {"PGUSER": "user-2", "PGPASSWORD": "made-up-password-2"}


def test_a_lease_that_the_server_ended_needs_another_one(
    database_lease: types.ModuleType, database: Profile, login: Credential, freshkey_http: ScriptedExchanges
) -> None:
    with freshkey_http.instead(status=404), pytest.raises(LoginRequired):
        refreshed(database_lease, database, login, Reason.DUE)


def test_a_database_login_is_not_for_http(login: Credential) -> None:
    with pytest.raises(NotForHttp, match="database connections"):
        login.headers()
