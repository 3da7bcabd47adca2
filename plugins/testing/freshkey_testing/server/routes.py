"""The URL of each endpoint, and its handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen

from freshkey_testing.server.authorize import AuthorizeEndpoint
from freshkey_testing.server.bearer import BearerEndpoints
from freshkey_testing.server.device import DeviceEndpoint
from freshkey_testing.server.token import ASSERTION_GRANT, DEVICE_GRANT, TokenEndpoint
from freshkey_testing.server.wire import Answer, Asked, json_answer, page


if TYPE_CHECKING:
    from collections.abc import Mapping

    from freshkey_testing.server.account import Account
    from freshkey_testing.server.client_check import ClientCheck
    from freshkey_testing.server.grants import Grant, Grants
    from freshkey_testing.server.policy import Policy

Act = Callable[[Asked], Answer]


@frozen(kw_only=True)
class Urls:
    """The absolute URLs of all endpoints.

    Attributes:
        issuer: The issuer identifier (RFC 8414).
        authorize: Authorization endpoint.
        token: Token endpoint.
        revoke: Revocation endpoint.
        device: Device authorization endpoint.
        push: Pushed authorization request endpoint (RFC 9126), if the policy has one.
        device_page: The page where the user enters a user code.
        paste: The redirect URI of the page that shows ``code#state`` to copy.
        profile: Returns account and plan.
        userinfo: Returns the claims about the account (OpenID Connect Core 1.0, section 5.3).
        keys: The keys that verify ID tokens, if the policy has some (RFC 7517).
        resource: Responds with 200 to a valid access token, 401 to others.
    """

    issuer: str
    authorize: str
    token: str
    revoke: str
    device: str
    push: str
    device_page: str
    paste: str
    profile: str
    userinfo: str
    keys: str
    resource: str


def urls_at(base: str) -> Urls:
    """Return the URLs of a server at `base`."""
    return Urls(
        issuer=base,
        authorize=f"{base}/oauth/authorize",
        token=f"{base}/v1/oauth/token",
        revoke=f"{base}/v1/oauth/token/revoke",
        device=f"{base}/v1/oauth/device",
        push=f"{base}/v1/oauth/push",
        device_page=f"{base}/device",
        paste=f"{base}/oauth/code/callback",
        profile=f"{base}/api/oauth/profile",
        userinfo=f"{base}/oauth/userinfo",
        keys=f"{base}/oauth/keys",
        resource=f"{base}/resource",
    )


class Endpoints:
    """The endpoints of one server.

    Args:
        policy: The server's behavior.
        grants: The server's grants.
        urls: The URLs of the endpoints.
        client_id: The one client the server knows.
        check: Checks how it authenticates.
        id_token: Returns the ID token of a sign-in.
        keys: Returns the keys that verify ID tokens.
        account: Returns the account that approves.
        extra: Returns the fields of a token response that are not in RFC 6749.
        now: Returns elapsed seconds.
    """

    def __init__(
        self,
        policy: Policy,
        grants: Grants,
        urls: Urls,
        *,
        client_id: str,
        check: ClientCheck,
        id_token: Callable[[Grant], str],
        keys: Callable[[], list[Mapping[str, str]]],
        account: Callable[[], Account],
        extra: Callable[[Account], Mapping[str, object]],
        now: Callable[[], float],
    ) -> None:
        self._policy, self._urls, self._keys = policy, urls, keys
        self.authorize = AuthorizeEndpoint(
            policy,
            grants,
            issuer=urls.issuer,
            paste_uri=urls.paste,
            now=now,
            client_id=client_id,
            check=check,
            account=account,
        )
        self.device = DeviceEndpoint(policy, grants, page_uri=urls.device_page, account=account, now=now)
        self.token = TokenEndpoint(
            policy,
            grants,
            self.authorize,
            self.device,
            check=check,
            id_token=id_token,
            account=account,
            extra=extra,
            now=now,
        )
        self.bearer = BearerEndpoints(policy, grants, account)
        self._routes = self._by_url(urls)

    def _by_url(self, urls: Urls) -> dict[str, tuple[str, Act]]:
        return {
            urls.authorize: ("authorize", self.authorize.answer),
            urls.paste: ("paste", self.authorize.show_code),
            urls.push: ("push", self.authorize.push),
            urls.token: ("token", self.token.answer),
            urls.revoke: ("revoke", self.token.revoke),
            urls.device: ("device", self.token.begin_device),
            urls.device_page: ("device_page", self.device.enter_code),
            urls.profile: ("profile", self.bearer.profile),
            urls.userinfo: ("userinfo", self.bearer.userinfo),
            urls.resource: ("resource", self.bearer.resource),
            urls.keys: ("keys", lambda _: json_answer({"keys": self._keys()})),
            f"{urls.issuer}/.well-known/oauth-authorization-server": ("metadata", self._metadata),
            f"{urls.issuer}/.well-known/openid-configuration": ("metadata", self._metadata),
        }

    def at(self, path: str) -> tuple[str, Act]:
        """Return the name and the handler of the endpoint at `path`."""
        return self._routes.get(self._urls.issuer + path, ("", _nothing_here))

    def _metadata(self, asked: Asked) -> Answer:  # noqa: ARG002  the same for every request
        """Respond with the server's metadata (RFC 8414, section 3.2)."""
        pushed = {
            "pushed_authorization_request_endpoint": self._urls.push,
            "require_pushed_authorization_requests": self._policy.pushed_requests == "required",
        }
        return json_answer(
            {
                **(pushed if self._policy.pushed_requests != "none" else {}),
                **({"authorization_endpoint": self._urls.authorize} if self._policy.authorization_endpoint else {}),
                "issuer": self._urls.issuer,
                "token_endpoint": self._urls.token,
                "revocation_endpoint": self._urls.revoke,
                "device_authorization_endpoint": self._urls.device,
                "userinfo_endpoint": self._urls.userinfo,
                "response_types_supported": ["code"],
                "grant_types_supported": self._grant_types(),
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [self._policy.signature_algorithm],
                **({"jwks_uri": self._urls.keys} if self._policy.signature_algorithm != "HS256" else {}),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": [self._policy.client_authentication],
                "authorization_response_iss_parameter_supported": self._policy.iss_in_callback,
            }
        )

    def _grant_types(self) -> list[str]:
        of_user = ["authorization_code"] if self._policy.authorization_endpoint else []
        of_client = ["client_credentials"] if self._policy.client_authentication != "none" else []
        return [*of_user, *of_client, "refresh_token", DEVICE_GRANT, ASSERTION_GRANT]


def _nothing_here(asked: Asked) -> Answer:  # noqa: ARG001  the signature of every endpoint
    return page("<h1>Nothing here</h1>", 404)
