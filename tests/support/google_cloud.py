"""The parts of Google Cloud that credentials use, on loopback, with checks of every request.

A service account's assertion is verified with its public key, an impersonation needs a token issued by this server and
the role, and the API accepts only tokens that were issued by this server and have not expired.
"""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from attrs import define, field
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from loopback_server import Exchange, LoopbackServer


KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
"""The key of the only service account; generating a key takes a while."""

ROBOT: Final = "robot@demo-project.iam.gserviceaccount.com"
TARGET: Final = "target@demo-project.iam.gserviceaccount.com"
MACHINE: Final = "machine@demo-project.iam.gserviceaccount.com"
CLIENT_ID: Final = "1234-app.apps.googleusercontent.com"
CLIENT_SECRET: Final = "GOCSPX-canary-of-the-client"
AUDIENCE: Final = "https://oauth2.googleapis.com/token"
SUBJECT_TOKEN: Final = "eyJhbGciOiJSUzI1NiJ9.canary-of-the-subject.c2ln"
MAX_SKEW: Final = 300

Reply = tuple[int, Any]


def pem(key: Any = KEY) -> str:
    return str(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )


@define
class Seen:
    """One request."""

    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]
    body: str


@define
class Token:
    """One access token."""

    whose: str
    ends: float


@define
class GoogleCloud(LoopbackServer):
    """The servers of Google Cloud at one address.

    Attributes:
        lifetime: Lifetime of its tokens in seconds.
        ahead: Seconds by which its clock is fast.
        disabled: Emails of disabled service accounts.
        may_impersonate: Who has the role to impersonate whom.
        refresh_tokens: The owner of each refresh token.
        failures: Responses to the next requests to a path, instead of the normal ones.
        delay: Seconds before the response to a token request.
        retry_after: ``Retry-After`` of all responses.
    """

    lifetime: int = 3600
    ahead: float = 0.0
    disabled: set[str] = field(factory=set)
    may_impersonate: set[tuple[str, str]] = field(factory=set)
    refresh_tokens: dict[str, str] = field(factory=dict)
    failures: dict[str, list[Reply]] = field(factory=dict)
    delay: float = 0.0
    retry_after: str | None = None
    seen: list[Seen] = field(factory=list)
    tokens: dict[str, Token] = field(factory=dict)
    codes: dict[str, dict[str, str]] = field(factory=dict)

    ROUTES: ClassVar[dict[str, str]] = {
        "/token": "_token",
        "/sts": "_exchange",
        "/oauthtoken": "_sts_refresh",
        "/tokeninfo": "_tokeninfo",
        "/revoke": "_revoke",
        "/subject": "_subject",
    }

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    @property
    def host(self) -> str:
        """The server's host and port."""
        return f"127.0.0.1:{self.port}"

    def at(self, path: str) -> str:
        return f"http://{self.host}{path}"

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return settings of a profile that uses this server."""
        return {
            "authorize_url": self.at("/auth"),
            "token_url": self.at("/token"),
            "revoke_url": self.at("/revoke"),
            "tokeninfo_url": self.at("/tokeninfo"),
            "iam_url": self.at(""),
            "project": "demo-project",
            "allow_insecure_loopback": True,
            **more,
        }

    def serve(self, exchange: Exchange) -> None:
        """Redirect sign-ins, and respond to other requests like Google's servers."""
        if exchange.command == "GET" and exchange.path.startswith("/auth?"):
            there = self.authorize(dict(parse_qsl(urlsplit(exchange.path).query)))
            exchange.answer(302, headers={"Location": there})
            return
        body, headers = exchange.body().decode("utf-8", "replace"), exchange.lowered()
        plain = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        request = Seen(exchange.path, headers, dict(parse_qsl(body)) if plain else {}, body)
        self.seen.append(request)
        status, members = self.answer(request)
        text = members.get("text") if isinstance(members, dict) else None
        told = {
            "Date": formatdate(self.now, usegmt=True),
            "Content-Type": "application/text" if text else "application/json",
            "Metadata-Flavor": "Google",
        }
        if self.retry_after:
            told["Retry-After"] = self.retry_after
        exchange.answer(status, str(text).encode() if text else json.dumps(members).encode(), told)

    # --- files --------------------------------------------------------------------------------------------------

    def service_account(self, **more: Any) -> dict[str, Any]:
        return {
            "type": "service_account",
            "project_id": "key-project",
            "private_key_id": "k1",
            "private_key": pem(),
            "client_email": ROBOT,
            "token_uri": self.at("/token"),
            **more,
        }

    def authorized_user(self, **more: Any) -> dict[str, Any]:
        self.refresh_tokens["1//canary-of-the-user"] = "ada@example.com"
        return {
            "type": "authorized_user",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": "1//canary-of-the-user",
            "account": "ada@example.com",
            "token_uri": self.at("/token"),
            **more,
        }

    def external_account(self, source: dict[str, Any], **more: Any) -> dict[str, Any]:
        pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
        return {
            "type": "external_account",
            "audience": pool,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": self.at("/sts"),
            "credential_source": source,
            **more,
        }

    def external_user(self) -> dict[str, Any]:
        self.refresh_tokens["canary-of-the-workforce"] = "workforce"
        return {
            "type": "external_account_authorized_user",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/x",
            "client_id": "workforce-client",
            "client_secret": "canary-of-the-workforce-client",
            "refresh_token": "canary-of-the-workforce",
            "token_url": self.at("/oauthtoken"),
        }

    def impersonation_url(self, target: str = TARGET) -> str:
        return self.at(f"/v1/projects/-/serviceAccounts/{target}:generateAccessToken")

    # --- for tests ----------------------------------------------------------------------------------------------

    def count(self, path: str, **fields: str) -> int:
        """Return the number of requests to a path with these form fields."""
        return sum(
            one.path.startswith(path) and all(one.form.get(name) == value for name, value in fields.items())
            for one in self.seen
        )

    def end_all(self) -> None:
        """Revoke all access tokens."""
        self.tokens.clear()

    @property
    def now(self) -> float:
        return time.time() + self.ahead

    # --- responses ----------------------------------------------------------------------------------------------

    def answer(self, request: Seen) -> Reply:
        path = urlsplit(request.path).path
        if self.failures.get(path):
            return self.failures[path].pop(0)
        if path in self.ROUTES:
            reply: Reply = getattr(self, self.ROUTES[path])(request)
            return reply
        if path.endswith(":generateAccessToken"):
            return self._impersonate(request, path)
        if path.startswith("/computeMetadata/"):
            return self._metadata(request, path)
        return self._api(request)

    def issue(self, whose: str) -> str:
        token = f"ya29.canary-{uuid.uuid4().hex}"
        self.tokens[token] = Token(whose, self.now + self.lifetime)
        return token

    def _granted(self, whose: str, **more: Any) -> Reply:
        return 200, {
            "access_token": self.issue(whose),
            "expires_in": self.lifetime,
            "token_type": "Bearer",
            **more,
        }

    def _token(self, request: Seen) -> Reply:
        time.sleep(self.delay)
        grant = request.form.get("grant_type")
        if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._assertion(request.form["assertion"])
        if request.form.get("client_secret") != CLIENT_SECRET or request.form.get("client_id") != CLIENT_ID:
            return 401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}
        if grant == "refresh_token":
            whose = self.refresh_tokens.get(request.form["refresh_token"])
            if whose is None:
                return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
            return self._granted(whose, scope="openid")
        return self._code(request.form)

    def _code(self, form: Mapping[str, str]) -> Reply:
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(_sha256(form.get("code_verifier", "").encode())).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        refresh_token = f"1//canary-{uuid.uuid4().hex}"
        self.refresh_tokens[refresh_token] = "ada@example.com"
        claims = _encoded({"sub": "1066", "email": "ada@example.com", "hd": "example.com"})
        offline = asked.get("access_type") == "offline" and asked.get("prompt") == "consent"
        more = {"refresh_token": refresh_token} if offline else {}
        return self._granted("ada@example.com", scope=asked["scope"], id_token=f"e30.{claims}.c2ln", **more)

    def authorize(self, query: dict[str, str]) -> str:
        code = uuid.uuid4().hex
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": "https://accounts.google.com"}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def _assertion(self, assertion: str) -> Reply:
        signed, _, signature = assertion.rpartition(".")
        claims = json.loads(_decoded(signed.split(".")[1]))
        try:
            KEY.public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if claims["iss"] != ROBOT or claims["iss"] in self.disabled:
            return 400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
        if claims["aud"] != AUDIENCE:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT: audience"}
        if not (claims["iat"] - MAX_SKEW <= self.now < claims["exp"]):
            said = f"Invalid JWT: Token must be short-lived {claims['iat']}"
            return 400, {"error": "invalid_grant", "error_description": said}
        return self._granted(ROBOT)

    def _exchange(self, request: Seen) -> Reply:
        token = request.form.get("subject_token", "")
        if token != SUBJECT_TOKEN and not _is_signed_by_aws(unquote(token)):
            return 400, {"error": "invalid_grant", "error_description": "The subject token is not valid"}
        issued = "urn:ietf:params:oauth:token-type:access_token"
        return self._granted("workload", issued_token_type=issued)

    def _sts_refresh(self, request: Seen) -> Reply:
        whose = self.refresh_tokens.get(request.form.get("refresh_token", ""))
        basic = base64.b64encode(b"workforce-client:canary-of-the-workforce-client").decode()
        if whose is None or request.headers.get("authorization") != f"Basic {basic}":
            return 400, {"error": "invalid_grant"}
        return self._granted(whose)

    def _bearer(self, request: Seen) -> Token | None:
        token = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return token if token and token.ends > self.now else None

    def _impersonate(self, request: Seen, path: str) -> Reply:
        token, target = self._bearer(request), path.rsplit("/", maxsplit=1)[-1].split(":", maxsplit=1)[0]
        if token is None:
            return 401, {"error": {"code": 401, "message": "Invalid credentials", "status": "UNAUTHENTICATED"}}
        if (token.whose, target) not in self.may_impersonate:
            return 403, {"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}}
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now + self.lifetime))
        return 200, {"accessToken": self.issue(target), "expireTime": ends}

    def _metadata(self, request: Seen, path: str) -> Reply:
        if request.headers.get("metadata-flavor") != "Google":
            return 403, {"error": "forbidden"}
        if path.endswith("/token"):
            return self._granted(MACHINE)
        if path.endswith("/project-id"):
            return 200, {"text": "machine-project"}
        return 200, {"email": MACHINE, "scopes": ["cloud-platform"], "aliases": ["default"]}

    def _subject(self, request: Seen) -> Reply:
        return 200, {"id": SUBJECT_TOKEN}

    def _tokeninfo(self, request: Seen) -> Reply:
        token = self.tokens.get(request.form.get("access_token", ""))
        if token is None or token.ends <= self.now:
            return 400, {"error": "invalid_token", "error_description": "Invalid Value"}
        return 200, {"email": token.whose, "expires_in": str(int(token.ends - self.now))}

    def _revoke(self, request: Seen) -> Reply:
        if self.refresh_tokens.pop(request.form.get("token", ""), None) is None:
            return 400, {"error": "invalid_token", "error_description": "Token expired or revoked"}
        return 200, {}

    def _api(self, request: Seen) -> Reply:
        token = self._bearer(request)
        if token is None:
            return 401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn"}
        content = [{"type": "text", "text": f"hello {token.whose}"}]
        return 200, {**message, "content": content, "usage": {"input_tokens": 1, "output_tokens": 1}}


def _is_signed_by_aws(token: str) -> bool:
    """Return whether this is a signed GetCallerIdentity request; only AWS could verify the signature."""
    try:
        request = json.loads(token)
    except ValueError:
        return False
    headers = {one["key"].lower(): one["value"] for one in request["headers"]}
    asks = "sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity" in request["url"]
    return asks and re.match(r"AWS4-HMAC-SHA256 Credential=A[KS]IA[A-Z]*/", headers["authorization"]) is not None


def _sha256(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(claims: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
