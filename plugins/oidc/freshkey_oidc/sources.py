"""Where a token can come from, in order of precedence, and how to get one from each source."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from attrs import evolve

from freshkey.plugin import Credential, Interaction, Profile, Source, unused_settings
from freshkey_oidc import client_credentials, env_token, exchange, identity_token, issuer
from freshkey_oidc.settings import OidcSettings


_HANDED_IN: Final = partial(Source, owned=False, handed_in=True)


VARIABLE: Final = _HANDED_IN(
    id="variable",
    title="token in the variable that token_variable names",
    detect=env_token.detect_variable,
    chosen_by=("token_variable",),
)
DESCRIPTOR: Final = _HANDED_IN(
    id="descriptor",
    title="token from the file descriptor in token_fd",
    detect=env_token.detect_descriptor,
    chosen_by=("token_fd",),
)
IDENTITY_TOKEN: Final = _HANDED_IN(
    id="identity-token",
    title="identity token to exchange",
    detect=identity_token.detect,
    chosen_by=("identity_token", "identity_token_file", "identity_token_variable"),
)
CLIENT_CREDENTIALS: Final = Source(
    id="client-credentials",
    title="client credentials",
    owned=True,
    automatic=True,
    detect=client_credentials.detect,
    setup=client_credentials.setup,
)
SIGN_IN: Final = Source(id="sign-in", title="OpenID Connect sign-in", owned=True, interactive=True, setup=issuer.setup)

_SOURCES: Final = (VARIABLE, DESCRIPTOR, IDENTITY_TOKEN, CLIENT_CREDENTIALS, SIGN_IN)

_USES: Final = {
    VARIABLE.id: "token_variable",
    DESCRIPTOR.id: "token_fd",
    IDENTITY_TOKEN.id: "exchange identity_token identity_token_file identity_token_variable identity_token_audience"
    " subject_token_type",
    SIGN_IN.id: "authorization_parameters login_hint authorization_endpoint device_authorization_endpoint jwks_uri"
    " redirect_host redirect_path scopes_at_renewal single_use repeats_for",
    f"{CLIENT_CREDENTIALS.id} {SIGN_IN.id}": "flow revocation_endpoint revoke_replaced",
    f"{IDENTITY_TOKEN.id} {CLIENT_CREDENTIALS.id} {SIGN_IN.id}": "issuer client_id client_secret client_secret_variable"
    " client_secret_file private_key_file key_id key_algorithm certificate_thumbprint assertion_audience"
    " client_authentication scopes resource audience token_parameters hosts token_endpoint",
}
USED_BY: Final = {name: frozenset(ids.split()) for ids, names in _USES.items() for name in names.split()}
"""Settings that only some sources use; ``freshkey explain`` names those that the chosen source ignores."""

SOURCES: Final = tuple(
    evolve(one, ignores=partial(unused_settings, source_id=one.id, used_by=USED_BY)) for one in _SOURCES
)


def of(settings: OidcSettings, chosen: str | None) -> tuple[Source, ...]:
    """Return the sources of a profile: it gets tokens for the application itself or for who signs in, never both.

    The one that the profile names (`chosen`) is there all the same, to say what it needs.
    """
    other = SIGN_IN if settings.flow == "client-credentials" else CLIENT_CREDENTIALS
    return tuple(source for source in SOURCES if source.id != other.id or other.id == chosen)


_BY_ITSELF: Final[dict[str, Callable[[Profile], Credential]]] = {
    VARIABLE.id: env_token.from_variable,
    DESCRIPTOR.id: env_token.from_descriptor,
    IDENTITY_TOKEN.id: exchange.acquire,
    CLIENT_CREDENTIALS.id: client_credentials.acquire,
}


def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a token from one of `SOURCES`."""
    from freshkey_oidc.signin import sign_in

    by_itself = _BY_ITSELF.get(source.id)
    found = sign_in(profile, interaction) if by_itself is None else by_itself(profile)
    return evolve(found, source=source.id)
