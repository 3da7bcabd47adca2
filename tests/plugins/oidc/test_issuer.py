"""The server of a profile: what the metadata say, and what settings replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from freshkey.errors import ProviderRefused, TransientError
from freshkey.model.profile import Profile
from freshkey_oidc import issuer as module
from freshkey_oidc.formats import OidcToken
from freshkey_testing import ScriptedExchanges
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]

METADATA = f"{ISSUER}/.well-known/oauth-authorization-server"
OPENID = f"{ISSUER}/.well-known/openid-configuration"
OPTIONAL = (
    "authorization_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
)


def test_metadata_name_the_endpoints(profile: Profile, issuer: ScriptedIssuer) -> None:
    issuer.metadata["pushed_authorization_request_endpoint"] = f"{ISSUER}/par"
    server = module.server(profile, ("jwks_uri", "userinfo_endpoint"))
    assert (server.issuer, server.token_endpoint) == (ISSUER, f"{ISSUER}/token")
    assert {name: getattr(server, name) for name in OPTIONAL} == {name: issuer.metadata[name] for name in OPTIONAL}
    assert server.pushed_authorization_request_endpoint == f"{ISSUER}/par"
    assert server.iss_required
    assert server.authentication_methods == ("none", "client_secret_basic", "client_secret_post")


@pytest.mark.parametrize("name", OPTIONAL)
def test_setting_replaces_one_endpoint_of_the_metadata(
    make_profile: MakeProfile, issuer: ScriptedIssuer, name: str
) -> None:
    server = module.server(make_profile(**{name: "https://other.example.test/it"}), OPTIONAL)
    found = {each: getattr(server, each) for each in OPTIONAL}
    assert found == {each: issuer.metadata[each] for each in OPTIONAL} | {name: "https://other.example.test/it"}
    assert server.token_endpoint == f"{ISSUER}/token"


def test_endpoint_that_is_set_is_not_looked_for(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    del issuer.metadata["revocation_endpoint"]
    module.server(make_profile(revocation_endpoint=f"{ISSUER}/revoke"), ("revocation_endpoint",))
    assert [request.url for request in issuer.http.requests] == [METADATA]


def test_endpoint_that_is_wanted_is_looked_for_in_the_other_document(profile: Profile, issuer: ScriptedIssuer) -> None:
    del issuer.metadata["device_authorization_endpoint"]
    other = issuer.metadata | {"device_authorization_endpoint": f"{ISSUER}/device"}
    issuer.http.on("GET", OPENID, json=other)
    assert (
        module.server(profile, ("device_authorization_endpoint",)).device_authorization_endpoint == f"{ISSUER}/device"
    )


def test_request_is_not_pushed_past_an_authorization_endpoint_that_is_set(
    make_profile: MakeProfile, issuer: ScriptedIssuer
) -> None:
    issuer.metadata["pushed_authorization_request_endpoint"] = f"{ISSUER}/par"
    server = module.server(make_profile(authorization_endpoint="https://front.example.test/authorize"))
    assert server.pushed_authorization_request_endpoint is None


def test_token_endpoint_in_the_settings_needs_no_metadata(
    make_profile: MakeProfile, freshkey_http: ScriptedExchanges
) -> None:
    named = {name: f"{ISSUER}/set/{name}" for name in OPTIONAL}
    for known in (ISSUER, None):
        server = module.server(make_profile(issuer=known, token_endpoint=f"{ISSUER}/set/token", **named))
        assert (server.issuer, server.token_endpoint) == (known, f"{ISSUER}/set/token")
        assert {name: getattr(server, name) for name in OPTIONAL} == named
    assert freshkey_http.requests == []


def test_endpoints_on_other_hosts_must_be_allowed(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    issuer.metadata["token_endpoint"] = "https://tokens.example.test/token"
    with raises_code(ProviderRefused, "invalid-metadata"):
        module.server(make_profile())
    server = module.server(make_profile(hosts=("tokens.example.test",)))
    assert server.token_endpoint == "https://tokens.example.test/token"


def test_metadata_of_another_issuer_are_refused(profile: Profile, issuer: ScriptedIssuer) -> None:
    issuer.metadata["issuer"] = f"{ISSUER}/other"
    issuer.http.on("GET", OPENID, status=404)
    with raises_code(ProviderRefused, "metadata-issuer-mismatch"):
        module.server(profile)


@pytest.mark.parametrize("how", [{"status": 503}, {"fault": "before-sending"}, {"fault": "after-sending"}], ids=str)
def test_metadata_that_cannot_be_fetched_are_tried_again_later(
    profile: Profile, issuer: ScriptedIssuer, how: dict[str, Any]
) -> None:
    with issuer.http.instead(**how), pytest.raises(TransientError):
        module.server(profile)


def test_profile_without_an_issuer_is_told_what_to_set(
    make_profile: MakeProfile, freshkey_http: ScriptedExchanges
) -> None:
    with raises_code(ProviderRefused, "oidc-issuer-missing") as caught:
        module.server(make_profile(issuer=None))
    assert caught.value.hint == 'Set issuer = "https://…" under [profiles.test] in config.toml'
    assert freshkey_http.requests == []


def test_server_of_a_token_is_as_it_was_then(
    make_profile: MakeProfile, sign_in: Callable[..., OidcToken], freshkey_http: ScriptedExchanges
) -> None:
    token = sign_in(make_profile())
    freshkey_http.requests.clear()
    server = module.issued_by(token)
    assert (server.issuer, server.token_endpoint) == (ISSUER, f"{ISSUER}/token")
    assert (server.revocation_endpoint, server.userinfo_endpoint) == (f"{ISSUER}/revocation", f"{ISSUER}/userinfo")
    assert freshkey_http.requests == []
