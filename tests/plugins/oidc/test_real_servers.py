"""The provider at two real authorization servers, which differ where servers differ, through a keeper."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from counterparts.django_oauth import CLIENT_SECRET, DEVICE_CLIENT, MACHINE_CLIENT, WEB_CLIENT, DjangoServer
from counterparts.oidc import RESOURCE, OidcServer, approve_device, sign_in
from counterparts.server_process import ServerProcess
from counterparts.signed import new_key, pem, public
from freshkey import Configuration, Keeper
from freshkey.clock import SystemClock
from freshkey.errors import LoginRequired
from freshkey.model.description import Validity
from freshkey_oidc.formats import OidcToken
from freshkey_testing import ScriptedUser
from home import Home
from raises_code import raises_code
from renewing_process import TOO_LATE


pytestmark = pytest.mark.counterpart

WORKER = Path(__file__).parents[2] / "support" / "renewing_process.py"
EXPIRIES = 10
SECRET = "s3cret +/%:~*&= that is longer than 32 characters"
KEY = new_key()


@frozen
class Place:
    """A server, and what differs between servers in a profile's settings."""

    server: ServerProcess
    sign_in: Mapping[str, Any]
    device: Mapping[str, Any]
    resource: str
    web: Mapping[str, Any]
    machine: Mapping[str, Any]
    renewals: Callable[[], int]

    def table(self, **settings: object) -> dict[str, object]:
        return {"issuer": self.server.issuer, "allow_insecure_loopback": True, **settings}


def at_oidc_provider(server: OidcServer, secret: Path) -> Place:
    # Without `prompt` this server does not grant offline_access.
    user = {
        "client_id": server.client_id,
        "scopes": ["openid", "offline_access", "email"],
        "authorization_parameters": {"prompt": "consent", "max_age": "600"},
    }
    return Place(
        server,
        sign_in=user,
        device=user,
        resource=server.url("/me"),
        web={"client_id": "web", "client_secret_file": str(secret)},
        machine={"client_id": "machine", "client_secret_file": str(secret), "resource": [RESOURCE]},
        renewals=lambda: server.count("grant.success", grant_type="refresh_token"),
    )


def at_django(server: DjangoServer, secret: Path) -> Place:
    scopes = ["openid", "profile", "email"]
    # Its metadata leave out the device endpoint.
    device = {
        "client_id": DEVICE_CLIENT,
        "scopes": scopes,
        "device_authorization_endpoint": server.url(server.paths["device"]),
    }
    return Place(
        server,
        sign_in={"client_id": server.client_id, "scopes": scopes},
        device=device,
        resource=server.url(server.paths["userinfo"]),
        web={"client_id": WEB_CLIENT, "client_secret_file": str(secret)},
        machine={"client_id": MACHINE_CLIENT, "client_secret_file": str(secret), "scopes": ["read"]},
        renewals=lambda: server.count("token", grant_type="refresh_token", status=200),
    )


MACHINES: list[Mapping[str, object]] = [
    {"client_id": "machine", "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic"},
    {
        "client_id": "machine-key",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [public(KEY)]},
    },
]


WEB: Mapping[str, object] = {
    "client_id": "web",
    "client_secret": SECRET,
    "token_endpoint_auth_method": "client_secret_basic",
    "application_type": "native",
    "redirect_uris": ["http://127.0.0.1/callback"],
}


@contextmanager
def running(name: str, folder: Path, **options: Any) -> Iterator[Place]:
    secret = folder / "secret"
    secret.touch(mode=0o600)
    if name == "oidc-provider":
        secret.write_text(SECRET, "utf-8")
        with OidcServer(machines=MACHINES, clients=[WEB], **options) as oidc:
            yield at_oidc_provider(oidc, secret)
    else:
        secret.write_text(CLIENT_SECRET, "utf-8")
        with DjangoServer(**options) as django:
            yield at_django(django, secret)


@pytest.fixture(params=["oidc-provider", "django-oauth-toolkit"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(name: str, tmp_path: Path) -> Iterator[Place]:
    with running(name, tmp_path, access_token_seconds=600) as place:
        yield place


@pytest.fixture
def make_keeper(place: Place, tmp_path: Path) -> Iterator[Callable[..., Keeper]]:
    made: list[Keeper] = []

    def make(**settings: object) -> Keeper:
        table = {"provider": "oidc", "store": "memory", **place.table(**settings)}
        configuration = Configuration.of({"me": table}, state_dir=tmp_path / str(len(made)))
        made.append(Keeper(configuration=configuration, clock=HastyClock()))
        return made[-1]

    yield make
    for keeper in made:
        keeper.close()


class HastyClock(SystemClock):
    """Polls twenty times as often as the server requests, which is every few seconds."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        return super().wait(event, timeout / 20)


def approve(code: str, address: str, _: object) -> None:
    approve_device(address, code)


def signed_in(keeper: Keeper, account: str | None = None) -> OidcToken:
    with ScriptedUser(browser=sign_in) as user:
        token = keeper.login("me", interaction=user, account=account)
    assert isinstance(token, OidcToken)
    return token


def test_a_sign_in_in_the_browser_is_renewed_and_revoked(place: Place, make_keeper: Callable[..., Keeper]) -> None:
    keeper = make_keeper(**place.sign_in)
    first = signed_in(keeper)
    assert first.identity.email == "alice@example.test"
    assert keeper.inspect("me").validity is Validity.VALID

    second = keeper.refresh("me")
    assert isinstance(second, OidcToken)
    assert second.refresh_token not in {None, first.refresh_token}
    assert second.identity == first.identity
    assert place.renewals() == 1

    assert keeper.logout("me").revoked
    with raises_code(LoginRequired, "no-credential-found"):
        keeper.get("me")


def test_a_sign_in_on_another_device_is_renewed_and_revoked(place: Place, make_keeper: Callable[..., Keeper]) -> None:
    keeper = make_keeper(flow="device", **place.device)
    with ScriptedUser(device=approve) as user:
        first = keeper.login("me", interaction=user)
    second = keeper.refresh("me")
    assert second.token != first.token
    assert keeper.inspect("me").validity is Validity.VALID
    assert keeper.logout("me").revoked


def test_a_confidential_client_signs_users_in(place: Place, make_keeper: Callable[..., Keeper]) -> None:
    keeper = make_keeper(**{**place.sign_in, **place.web})
    first = signed_in(keeper)
    assert keeper.refresh("me").token != first.token
    assert keeper.logout("me").revoked


def test_a_client_gets_a_token_for_itself_anew(place: Place, make_keeper: Callable[..., Keeper]) -> None:
    keeper = make_keeper(flow="client-credentials", **place.machine)
    first = keeper.get("me")
    assert first.identity.account == place.machine["client_id"]
    assert not first.renewable
    assert keeper.get("me").token == first.token

    second = keeper.refresh("me")
    assert second.token != first.token


def test_two_accounts_are_two_sign_ins(place: Place, make_keeper: Callable[..., Keeper]) -> None:
    keeper = make_keeper(**place.sign_in)
    tokens = {account: signed_in(keeper, account).token for account in ("ada", "bob")}
    assert tokens["ada"] != tokens["bob"]
    assert keeper.logout("me", account="ada").revoked
    assert keeper.get("me", account="bob").token == tokens["bob"]
    with raises_code(LoginRequired, "no-credential-found"):
        keeper.get("me", account="ada")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("flow", ["browser", "device"])
def test_two_processes_keep_working_through_ten_expiries(name: str, flow: str, tmp_path: Path) -> None:
    with running(name, tmp_path, access_token_seconds=2) as place:
        home = Home(tmp_path, "file")
        home.variables["FRESHKEY_CONFIG_DIR"] = str(tmp_path / "config")
        home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
        home.configure(provider="oidc", **place.table(flow=flow, **place.device if flow == "device" else place.sign_in))
        user = ScriptedUser(browser=sign_in) if flow == "browser" else ScriptedUser(device=approve)
        with Keeper(configuration=Configuration.load(home.environment), clock=HastyClock()) as keeper, user:
            keeper.login("me", interaction=user)
        command = [sys.executable, str(WORKER), "me", str(EXPIRIES + 1), place.resource, "repeat"]
        workers = [
            subprocess.Popen(command, env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        outputs = [worker.communicate(timeout=150) for worker in workers]
        assert [(worker.returncode, out[1]) for worker, out in zip(workers, outputs, strict=True)] == [(0, "")] * 2

        seen = [[json.loads(line) for line in stdout.splitlines()] for stdout, _ in outputs]
        statuses = [token["status"] for tokens in seen for token in tokens]
        assert set(statuses) <= {200, TOO_LATE}
        assert statuses.count(TOO_LATE) <= 2, "this happens only if the machine pauses"
        different = {token["token"] for tokens in seen for token in tokens}
        # A process may have exited during the renewal after its last one.
        assert len(different) - 1 <= place.renewals() <= len(different) + 1
        assert place.server.count("grant.revoked") == 0
        with home.keeper() as keeper:
            assert keeper.logout("me").revoked


def test_a_client_authenticates_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.touch(mode=0o600)
    file.write_text(pem(KEY), "utf-8")
    with running("oidc-provider", tmp_path, access_token_seconds=600) as place:
        table = place.table(
            provider="oidc",
            store="memory",
            client_id="machine-key",
            flow="client-credentials",
            private_key_file=str(file),
            key_algorithm="ES256",
            key_id="k1",
            resource=[RESOURCE],
        )
        with Keeper(configuration=Configuration.of({"me": table}, state_dir=tmp_path)) as keeper:
            first = keeper.get("me")
            assert keeper.refresh("me").token != first.token
