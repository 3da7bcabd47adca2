"""The parsers of the core: HTTP, OAuth, configuration, files of the state directory, records, helpers and variables."""

from __future__ import annotations

import base64
import gzip
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from freshkey import _json
from freshkey._commands.helper import read_helper_json, read_helper_line
from freshkey._commands.named_files import TooManyPartsError, named_files
from freshkey._config import project
from freshkey._config.configuration import Configuration
from freshkey._files.path_text import path_flaw
from freshkey._files.state_file import StateFile
from freshkey._http import content_coding, incoming, json_object, lenient_head, messages, url
from freshkey._interprocess.hints import HintsFile
from freshkey._secret_input.env_var import environment_secret
from freshkey._secret_input.identity_token import MAX_LENGTH, identity_token, identity_token_file
from freshkey._secret_input.shape import looks_like
from freshkey._stores.encrypted_file.key import FileKey
from freshkey._stores.encrypted_file.store import FileItems
from freshkey._stores.keychain.dismissals import Dismissals
from freshkey._stores.records import chunks
from freshkey._stores.records.codec import Codec
from freshkey._stores.records.intent_file import IntentFile
from freshkey._text.held import secrets_in
from freshkey._trust.entries import TrustedCommands
from freshkey._trust.source_consent import SourceAnswers
from freshkey.clock import SYSTEM, Moment
from freshkey.model import exchange
from freshkey.model.credential import ApiKey, OAuthToken
from freshkey.model.storage import Intent, Record
from freshkey.oauth import Server, answers, callback, error_response, lifetimes, metadata, redirect_request
from freshkey.oauth.browser import safe_url
from freshkey.oauth.browser_variable import browser_commands
from freshkey.oauth.id_token import identity_of, read_id_token
from freshkey.oauth.id_token_signature import check_signature, read_keys
from freshkey.oauth.response_body import is_cut_off, plain_text, read_members
from freshkey.oauth.userinfo import read_userinfo
from freshkey.oauth.vendor_words import judge, judge_device
from freshkey.secret import Secret, is_implausible, is_jwt, quoted, shown_name
from fuzzing.inputs import SECRET
from fuzzing.target import Target, modules, text, words
from sending import scripted


NOW = 1_767_225_600.0
JSON = words(
    *('"', "{", "}", "[", "]", ":", ",", "null", "1e9", '"a":', "{}", "[]", '"\\ud800"', "{'", "\\", "NaN", "//"),
    *('"access_token":"SECRET",', '"refresh_token":"SECRET",', '"expires_in":', '"error":"invalid_grant"', '"error":'),
    *('"error_description":"SECRET is expired",', '"scope":', '"errors":', '{"error":', '"message":', "-->", "<!--"),
)
TOKEN = words(
    '{"access_token":"SECRET","refresh_token":"SECRET","token_type":"Bearer","expires_in":3600,"scope":"a b"}',
    '{"accessToken":"SECRET","expires_at":"2026-01-01T00:00:00.000Z","refresh_expires_in":"86400"}',
    '{"error":"invalid_grant","error_description":"refresh token SECRET is invalid or has been revoked"}',
    '{"error":{"code":"refresh_token_reused","message":"SECRET"},"errors":[{"message":"SECRET"}]}',
    ")]}',\n" + '{"access_token":"SECRET","expires_in":"1h30m"}',
    "access_token=SECRET&expires_in=3600&token_type=bearer",
    "<!DOCTYPE html><html><body>SECRET</body></html>",
    '<b>Notice</b>: x {"access_token":"SECRET"}',
    '{"device_code":"SECRET","user_code":"AB-CD","verification_uri":"https://a.example","expires_in":600,"interval":5}',
)
CLAIMS = words(
    '{"iss":"https://a.example","aud":"me","exp":1767225660,"sub":"u-1","email":"SECRET","name":"SECRET","tid":"t"}',
    '{"iss":"https://a.example","aud":["me","SECRET"],"azp":"me","exp":1e300,"sub":"SECRET","nonce":"SECRET"}',
    '{"sub":"\\ud800","name":["SECRET"],"tid":{"SECRET":1}}',
    "<html>SECRET</html>",
)
SIGNED_HEADERS = words(
    '{"alg":"RS256","kid":"k1","typ":"JWT"}',
    '{"alg":"ES256","kid":"k1","x5c":["SECRET"],"jwk":{"k":"SECRET"}}',
    '{"alg":"none"}',
    '{"alg":"SECRET","kid":"SECRET"}',
    '{"alg":"EdDSA","crit":["SECRET"],"SECRET":1,"b64":false}',
)
KEYS = words(
    '{"keys":[{"kty":"RSA","kid":"k1","use":"sig","alg":"RS256","n":"' + "AQ" * 180 + '","e":"AQAB"}]}',
    '{"keys":[{"kty":"EC","kid":"k1","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",'
    '"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},{"kty":"SECRET"},"SECRET"]}',
    '{"keys":[{"kty":"OKP","kid":"k1","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"SECRET"}]}',
    '{"keys":[{"kty":"oct","kid":"k1","k":"SECRET"}],"SECRET":1}',
)
"""The keys of RFC 7517, appendix A.1, and RFC 8037, appendix A.2, and others."""
ASKED = exchange.Request(method="GET", url="https://a.example/userinfo")
SERVER = Server(
    authorization_endpoint="https://a.example/authorize",
    token_endpoint="https://a.example/token",
    issuer="https://a.example",
)
STATE = "st4te-9Z8y7X6w5V4u3T2s1R0q"


def _response(read: Callable[[exchange.Response], object]) -> Callable[[bytes], object]:
    """Return a target whose input is a body, with a status that depends on its length."""

    def run(data: bytes) -> None:
        status = (200, 200, 400, 401, 403, 429, 500)[len(data) % 7]
        headers = {"content-type": "application/json", "request-id": "req-1", "www-authenticate": text(data[:200])}
        read(exchange.Response(status=status, headers=headers, body=data))

    return run


def _coding(data: bytes) -> None:
    header, _, body = data.partition(b"\n")
    content_coding.decode(body, header.decode("latin-1"), _json.MAX_BODY)


def _incoming(data: bytes) -> None:
    response = incoming.begin(200, [("content-encoding", "gzip"), ("content-type", "text/html")], "a.example")
    pieces = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    response.read(iter(pieces), "a.example")
    response.known()


def _head(data: bytes) -> None:
    pieces = [data[start : start + 2048] for start in range(0, len(data), 2048)]
    reader = lenient_head.HeadReader(lambda *_: pieces.pop(0) if pieces else b"", lambda: True)
    for _ in range(len(pieces) + 1):
        reader.read(65536)


def _header(data: bytes) -> None:
    value = data.decode("latin-1")
    seconds = messages.retry_after({"retry-after": value, "date": value}, NOW)
    if seconds is not None and not 0 <= seconds <= messages.MAX_WAIT:
        raise AssertionError(seconds)


def _words(data: bytes) -> None:
    parts = data.decode("utf-8", "replace").split("\n")
    judge(parts[:1], parts[1:])
    judge_device(parts[:1], parts[1:])


def _lifetime(data: bytes) -> None:
    name, _, value = text(data).partition("=")
    for one in (value, [value], {name: value}):
        lifetimes.access_lifetime({name: one}, NOW)
        lifetimes.refresh_lifetime({name: one}, NOW)
    lifetimes.read_seconds(value)


def _metadata(data: bytes) -> None:
    answer = exchange.Response(status=200, headers={}, body=data)
    metadata.discover(scripted(lambda _: answer), "https://a.example")


def _callback(data: bytes) -> None:
    callback.read_callback(data.decode("latin-1"), state=STATE, server=SERVER)


def _pasted(data: bytes) -> None:
    callback.read_pasted(data.decode("utf-8", "replace"), state=STATE, server=SERVER, bare_code=True)


def _redirect(data: bytes) -> None:
    redirect_request.ended(data)
    redirect_request.judge(data, redirect_request.Wanted("/callback", "127.0.0.1:8000"))


def _browser(data: bytes) -> None:
    value = text(data).replace("\0", "")
    for platform in ("linux", "win32"):
        list(browser_commands("https://a.example/x", {"BROWSER": value, "PATH": "/nowhere"}, platform=platform))


def in_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a target whose input is a private file in a directory of its own."""
    folder: list[tempfile.TemporaryDirectory[str]] = []

    def run(data: bytes) -> None:
        if not folder:
            folder.append(tempfile.TemporaryDirectory(prefix="freshkey-fuzz-"))
        path = Path(folder[0].name, name)
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(0o600)
        path.write_bytes(data)
        read(Path(folder[0].name))

    return run


def _configuration(folder: Path) -> None:
    loaded = Configuration.load({"FRESHKEY_CONFIG_DIR": str(folder), "FRESHKEY_STATE_DIR": str(folder)}, bare=False)
    for name in (loaded.select().name, *loaded.profile_names()[:3]):
        loaded.table(name)
    loaded.choices()


def _project(folder: Path) -> None:
    loaded = project.load(folder / project.FILE_NAME, own=("mine",), configuration=folder / "config.toml")
    for name in loaded.profile_names()[:3]:
        loaded.wishes(name, _Settings)
    loaded.digest  # noqa: B018  a property that computes


@frozen(kw_only=True)
class _Settings:
    """Settings without any key that a project may set."""


def _records(data: bytes) -> None:
    items = text(data).split("\n")
    snapshot = chunks.newest([chunks.read_slot(lambda index: items[index] if index < len(items) else None)])
    if snapshot.record is not None and snapshot.record.payload is not None:
        CODEC.decode(snapshot.record.payload)


CODEC = Codec({"key": ApiKey, "token": OAuthToken}, provider="example")


PAYLOAD = CODEC.encode(OAuthToken(obtained=SYSTEM.now(), access_token=Secret(SECRET), scopes=("a",), client_id="x"))
"""A stored credential."""


def _payload(data: bytes) -> None:
    CODEC.decode(Secret(data.decode("utf-8", "replace")))


def _well_chunked(data: bytes) -> None:
    """The digest is right, and the content is anything."""
    import base64

    whole = base64.urlsafe_b64encode(data).decode()
    for kind in (chunks.RECORD, chunks.INTENT):
        item = chunks.Item(kind, 1, 0, 1, chunks._digest(kind, 1, 1, whole), whole)
        chunks.read_slot({0: item.text()}.get)


def _key(folder: Path) -> None:
    passphrase = Secret("fuzzing")
    key = FileKey(
        directory=folder / "store",
        origin="passphrase",
        passphrase=passphrase,
        passphrase_env="X",
        key_file=folder / "k",
    )
    # What it costs to derive a key is bounded by design, and far above what parsing costs.
    key._read_info()


def _key_file(folder: Path) -> None:
    FileKey(
        directory=folder / "store", origin="key file", passphrase=None, passphrase_env="X", key_file=folder / "file.key"
    )._read_key_file()


def _items(folder: Path) -> None:
    class Key:
        def find(self) -> bytes:
            return b"k" * 32

    FileItems(folder, "me", Key()).get("0.0")  # type: ignore[arg-type]


def _state(*below: str, build: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    return lambda folder: StateFile(folder, *below).read(build)


def _helper(data: bytes) -> None:
    with suppress_freshkey():
        read_helper_line(Secret(data.decode("utf-8", "replace")))
    read_helper_json(Secret(data.decode("utf-8", "replace")))


def suppress_freshkey() -> suppress:
    from freshkey.errors import FreshkeyError

    return suppress(FreshkeyError)


def _variable(data: bytes) -> None:
    environ: Mapping[str, str] = {"KEY": text(data).replace("\0", "")}
    environment_secret("KEY", environ)


def _environment(data: bytes) -> None:
    value = text(data).replace("\0", "")
    for name in ("FRESHKEY_CONFIG_DIR", "FRESHKEY_STATE_DIR", "FRESHKEY_PROFILE"):
        loaded = Configuration.load({"HOME": "/nowhere", name: value})
        loaded.state_dir  # noqa: B018  a property that computes
        if name == "FRESHKEY_PROFILE":
            loaded.table(loaded.select().name)


def _trusted(folder: Path) -> None:
    TrustedCommands(folder).all()


def _intent() -> bytes:
    moment = Moment(wall=NOW, elapsed=1.0, boot_id="boot")
    return chunks.intent_item(Intent(generation=2, token_hash="0" * 64, noted=moment, pid=1)).encode()


TRUST = words(
    '{"answers":[{"file":"/p/.freshkey.toml","profile":"ci","digest":"SECRET","commands":{"run":{"argv":["/bin/true"],'
    '"directory":"/p","pins":{"/p/x":"SECRET"}}}}]}',
    '{"answers":[]}',
)
CONFIG = words(
    'default = "me"\nobservers = ["log"]\n[profiles.me]\nprovider = "example"\nlead = 60\ntoken = "SECRET"\n'
    'scopes = ["a", "b"]\nskip = ["x"]\nredirect_port = 8000\n[stores.file]\nkey_file = "/k"\n',
    '[profiles]\nme = {provider = "example", headers = {a.b = "SECRET"}}\n',
    "[profiles.me]\nprovider = “SECRET”\n",
    "text = \"\"\"\nSECRET\n\"\"\"\nother = '''SECRET'''\n[[profiles.me.list]]\nat = 1979-05-27T07:32:00Z\n",
    'x = "SECRET\n',
)
TOML = words(
    *(
        "a.",
        "a.b.",
        '"a".',
        "[",
        "]",
        "[[",
        "]]",
        "[a]\n",
        "[[a]]\n",
        "[a.b]\n",
        "a=1\n",
        "a.b=1\n",
        "{",
        "}",
        "={a=",
        "=",
        "\n",
    ),
    *(
        '"""',
        "'''",
        '\\"',
        '"\\',
        "'",
        "#",
        ",",
        "[profiles.",
        "provider=",
        "\u201c",
        "1979-05-27",
        "0x",
        "1_",
        "inf",
        "{a=1},",
    ),
)
PROJECT = words(
    'profile = "ci"\n[profiles.ci]\nprovider = "example"\nsource = "helper"\nhelper = ["./run", "SECRET"]\n',
    '[profiles.ci]\nprovider = "example"\ntoken_url = "https://SECRET.example"\n',
)
HINTS = words(
    '{"generation":3,"source":"oauth","subject":"x","attempted":{"wall":1.0,"elapsed":1.0,"boot_id":"b"},"pause":30.0,'
    '"failures":1,"kind":"TransientError","error_code":"server-error","sign_in_code":null,"refused_generation":0,'
    '"signed_out":false}',
)
URLS = words(
    *(
        "https://a.example/x",
        "http://127.0.0.1:8000/",
        "https://user:SECRET@a.example",
        "https://[::1]:8/",
        "https://xn--",
    ),
    *("https://a.example:99999/SECRET", "https://[v1.a]/", "HTTPS://\u2100.example/"),
)

_RESPONSES: dict[str, tuple[Callable[[exchange.Response], object], bool]] = {
    "token response": (lambda response: answers.read_token(response, NOW), True),
    "device response": (lambda response: answers.read_device(response, NOW), True),
    "device token response": (lambda response: answers.read_device_token(response, NOW), True),
    "revocation response": (lambda response: answers.read_revocation(response, NOW), True),
}


def _errors(response: exchange.Response) -> None:
    error = error_response.refusal_error(response, NOW)
    read_members(response), plain_text(response), is_cut_off(response), error_response.read_words(response)
    raise error


def _id_token(token: str) -> None:
    answer = answers.TokenAnswer(access_token=Secret("at"), extra={"id_token": token})
    identity_of(read_id_token(answer, server=SERVER, client_id="me", now=NOW), organization="tid")


def _claims(data: bytes) -> None:
    _id_token(f"e30.{base64.urlsafe_b64encode(data).rstrip(b'=').decode()}.c2ln")


def _signed(header: bytes, keys: Sequence[Mapping[str, Any]]) -> None:
    token = f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.e30.{'c2ln' * 22}"
    check_signature(answers.TokenAnswer(access_token=Secret("at"), extra={"id_token": token}), tuple(keys))


def _signed_header(data: bytes) -> None:
    keys = [key for example in KEYS for key in json_object.read_object(example)["keys"] if isinstance(key, dict)]  # type: ignore[index]
    _signed(data, keys)


def _keys(data: bytes) -> None:
    keys = read_keys(ASKED, exchange.Response(status=200, headers={}, body=data), clock=SYSTEM)
    for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
        with suppress_freshkey():
            _signed(f'{{"alg":"{algorithm}"}}'.encode(), keys)


def _userinfo(data: bytes) -> None:
    headers = {"content-type": "application/json"}
    identity_of(read_userinfo(ASKED, exchange.Response(status=200, headers=headers, body=data), clock=SYSTEM))


IDENTITY_TOKENS = words(
    "eyJhbGciOiJSUzI1NiJ9.SECRET.c2ln",
    "\ufeffeyJhbGciOiJSUzI1NiJ9.SECRET.c2ln\r\n",
    "SECRET",
    '{"value":"SECRET"}',
    "-----BEGIN PRIVATE KEY-----\nSECRET\n",
    "e30.SECRET.",
)
OAUTH = modules("oauth", ("answers", "response_body", "lifetimes", "error_response", "vendor_words"))
TARGETS: tuple[Target, ...] = (
    Target(
        name="strict JSON",
        modules=("_json",),
        run=_json.parse_json_object,
        examples=TOKEN,
        tokens=JSON,
        limit=1 << 20,
        frameless=False,
    ),
    Target(
        name="record JSON",
        modules=("_json",),
        run=_json.parse_record,
        examples=TOKEN,
        tokens=JSON,
        limit=1 << 20,
        allowed=(ValueError,),
    ),
    Target(
        name="liberal JSON",
        modules=("_http.json_object",),
        run=lambda data: (
            json_object.read_object(data),
            json_object.is_page(data),
            json_object.is_before_an_answer(data),
        ),
        examples=TOKEN,
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="content coding",
        modules=("_http.content_coding",),
        run=_coding,
        examples=(
            b"gzip\n" + gzip.compress(TOKEN[0]),
            b"deflate\n" + zlib.compress(TOKEN[0]),
            b"gzip\n" + gzip.compress(b"0" * (64 << 20)),
            b"gzip,gzip,gzip\n" + gzip.compress(gzip.compress(b"0" * (8 << 20))),
            b"gzip\n" + gzip.compress(b"{") * 400,
            b"br\n{}",
        ),
        tokens=(b"gzip,", b"deflate,", gzip.compress(b""), gzip.compress(b"{"), b"\x1f\x8b"),
        limit=1 << 20,
        allowed=(content_coding.TooLong,),
    ),
    Target(
        name="response as it arrives",
        modules=("_http.incoming",),
        run=_incoming,
        examples=(*TOKEN, gzip.compress(TOKEN[0])),
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="response head",
        modules=("_http.lenient_head",),
        run=_head,
        examples=words(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nSet-Cookie: SECRET\r\n\r\n{}",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\nTransfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n",
            "ICY 200 OK\r\n folded: SECRET\r\n\tx\r\n\r\n",
        ),
        tokens=words(
            "\r\n",
            "\n\n",
            "\r\n ",
            ": ",
            "HTTP/1.1 200 ",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "Content-Length: ",
            "\t",
            "a: b\r\n",
        ),
    ),
    Target(
        name="Retry-After and Date",
        modules=("_http.messages",),
        run=_header,
        examples=words(
            "120", "Wed, 21 Oct 2015 07:28:00 GMT", "Wednesday, 21-Oct-15 07:28:00 GMT", "01 Jan 0001 00:00:00 -9999"
        ),
        tokens=words("-", ",", " ", "GMT", "+0000", "Jan", ":", "(", ")", '"', "2015", "\\"),
    ),
    Target(
        name="URL",
        modules=("_http.url", "oauth.browser"),
        run=lambda data: (url.checked_url(text(data), allow_insecure_loopback=True), safe_url(text(data))),
        examples=URLS,
        tokens=words("[", "]", "@", "://", "%", ":", "/", "xn--", "\u2100"),
    ),
    Target(
        name="request header",
        modules=("_http.messages",),
        run=lambda data: exchange.Request(method="GET", url="", headers={"Authorization": text(data)}),
        examples=words("Bearer SECRET", "Bearer SECRET\r\nX: y"),
    ),
    *(
        Target(
            name=name, modules=OAUTH, run=_response(read), examples=TOKEN, tokens=JSON, limit=1 << 20, frameless=bare
        )
        for name, (read, bare) in _RESPONSES.items()
    ),
    Target(
        name="ID token of a sign-in",
        modules=("oauth.id_token",),
        run=lambda data: _id_token(text(data)),
        examples=words("e30.eyJzdWIiOiJTRUNSRVQifQ.c2ln", "SECRET", "a.b.c.d.e", "..", "e30.SECRET."),
        tokens=words(".", "=", "_", "-", "e30", "W10"),
        frameless=True,
    ),
    Target(
        name="claims of an ID token",
        modules=("oauth.id_token",),
        run=_claims,
        examples=CLAIMS,
        tokens=JSON,
        limit=1 << 16,
        frameless=True,
    ),
    Target(
        name="header of a signed ID token",
        modules=("oauth.id_token_signature",),
        run=_signed_header,
        examples=SIGNED_HEADERS,
        tokens=(*JSON, *words('"alg":', '"kid":', '"crit":', '"RS256"', '"HS256"', '"none"')),
        frameless=True,
    ),
    Target(
        name="keys of a server",
        modules=("oauth.id_token_signature",),
        run=_keys,
        examples=KEYS,
        tokens=(
            *JSON,
            *words('"kty":', '"RSA"', '"EC"', '"OKP"', '"crv":', '"P-521"', '"n":', '"e":', '"x":', '"use":'),
        ),
        limit=1 << 20,
        frameless=True,
    ),
    Target(name="userinfo", modules=("oauth.userinfo",), run=_userinfo, examples=CLAIMS, tokens=JSON, frameless=True),
    Target(name="OAuth error", modules=OAUTH, run=_response(_errors), examples=TOKEN, tokens=JSON, limit=1 << 20),
    Target(
        name="words of vendors",
        modules=("oauth.vendor_words",),
        run=_words,
        examples=words(
            "invalid_grant\nThe refresh token is invalid, expired, revoked or was issued to another client",
            "invalid_request\nrefresh_token is invalid (SECRET); please sign in again",
            "BadRefreshToken\nthe authorization code has expired - try again",
        ),
        tokens=words(
            "token ",
            "refresh ",
            "is ",
            "not ",
            "invalid ",
            "expired ",
            "or ",
            "the ",
            "has been ",
            "a",
            " ",
            "client ",
            "A",
            "_",
        ),
    ),
    Target(
        name="lifetimes",
        modules=("oauth.lifetimes",),
        run=_lifetime,
        examples=words(
            *(
                "expires_in=3600",
                "expires_at=2026-01-01T00:00:00Z",
                "refresh_token_expires_in=1h30m",
                "expiresOn=/Date(1767225600000)/",
            ),
            *(
                "expires=Thu, 01 Jan 2026 00:00:00 GMT",
                "expires_on=1/2/2026 3:04:05 PM +00:00",
                "expires_at=Thu Jan  1 00:00:00 UTC 2026",
            ),
        ),
        tokens=words(
            "1",
            "0",
            "h",
            "m",
            "s",
            " ",
            "+",
            "-",
            ":",
            ".",
            "T",
            "Z",
            "days",
            "P",
            "/Date(",
            "e",
            "expires_in",
            "AM",
            "PM",
        ),
    ),
    Target(
        name="server metadata",
        modules=("oauth.metadata",),
        run=_metadata,
        examples=words(
            '{"issuer":"https://a.example","authorization_endpoint":"https://a.example/a","token_endp'
            'oint":"https://a.example/t",'
            '"revocation_endpoint":"https://SECRET@a.example/r","authorization_response_iss_parameter_supported":true}',
            '{"issuer":"https://a.example","authorization_endpoint":"https://[","token_endpoint":"https://[::1"}',
        ),
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="redirect query",
        modules=("oauth.callback",),
        run=_callback,
        examples=words(
            f"code=SECRET&state={STATE}&iss=https%3A%2F%2Fa.example",
            f"error=access_denied&state={STATE}",
            "code=SECRET&state=x",
            f"error=SECRET&error_description=SECRET&state={STATE}",
        ),
        tokens=words("code=", "&", "state=", "error=", "%", "%ff", "+", ";", "=", "%00"),
    ),
    Target(
        name="pasted redirect",
        modules=("oauth.callback",),
        run=_pasted,
        examples=words(
            f"SECRET#{STATE}",
            f"http://127.0.0.1:1/callback?code=SECRET&state={STATE}",
            "SECRET",
            "https://[/?code=SECRET",
        ),
        tokens=words("#", "?", "&", "=", "http://", "https://[", "code=", "%"),
    ),
    Target(
        name="redirect request",
        modules=("oauth.redirect_request",),
        run=_redirect,
        examples=words(
            f"GET /callback?code=SECRET&state={STATE} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nSec-Fetch-De"
            f"st: document\r\n\r\n",
            "POST / HTTP/2\r\n\r\n",
        ),
        tokens=words("\r\n", "GET ", "Host: ", " HTTP/1.1", "?", ": ", "a:b\r\n"),
    ),
    Target(
        name="BROWSER",
        modules=("oauth.browser_variable",),
        run=_browser,
        examples=words("firefox %s:lynx", '"/usr/bin/my browser" --new "%s" &', "sh -c 'SECRET %s'", "%s:%%s"),
        tokens=words("%s", ":", '"', "'", "\\", "&", " ", "-c", "sh ", "%"),
    ),
    Target(
        name="configuration file",
        modules=("_config.toml_file", "_config.configuration", "_config.schema", "_config.toml_limits"),
        run=in_file("config.toml", _configuration),
        examples=CONFIG,
        tokens=TOML,
        limit=262_145,
    ),
    Target(
        name="project's file",
        modules=("_config.project", "_config.toml_file"),
        run=in_file(".freshkey.toml", _project),
        examples=(*PROJECT, *CONFIG),
        tokens=TOML,
        limit=262_145,
    ),
    Target(
        name="FRESHKEY variables",
        modules=("_config.configuration", "_files.path_text"),
        run=_environment,
        examples=words("/nowhere/x", "~nobody-there/x", "me", "'SECRET'", "$HOME/x"),
        tokens=words("~", "/", "..", "$A", "file:"),
    ),
    Target(
        name="form of a JSON Web Token",
        modules=("secret",),
        run=lambda data: is_jwt(text(data)),
        examples=words("eyJhbGciOiJub25lIn0.e30.c2ln", "SECRET.SECRET.SECRET"),
        tokens=words(".", "=", "-", "_", "W1tb", "e30", "eyJ"),
    ),
    Target(
        name="names that may be secrets",
        modules=("secret",),
        run=lambda data: (quoted(text(data)), shown_name(text(data)), is_implausible(text(data))),
        examples=words("sk-ant-oat01-SECRET", "team", "SECRET"),
        tokens=words("-", "sk-", "A1", "%7B", "{", "-api-key-"),
    ),
    Target(
        name="secrets in a document",
        modules=("_text.held",),
        run=lambda data: list(secrets_in(Secret(text(data)))),
        examples=words('{"token":"SECRET","a":[{"password":"SECRET"}]}', "SECRET"),
        tokens=JSON,
    ),
    Target(
        name="files that a command names",
        modules=("_commands.named_files",),
        run=lambda data: named_files(text(data).replace("\0", "").split("\n"), Path("/nowhere")),
        examples=words("-c\ncat ./x | sh", "--file=a:b\n@c", "-m\npkg.sub", "{a,b}*"),
        tokens=words("{", ",", "}", "*", "[", "]", "?", "$PWD/", "'", '"', "`", "file://", "=", ":", "@", "\n"),
        allowed=(TooManyPartsError,),
    ),
    Target(
        name="trusted commands",
        modules=("_trust.entries", "_trust.answers", "_files.state_file"),
        run=in_file("trust.json", _trusted),
        examples=TRUST,
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="consents",
        modules=("_trust.source_consent",),
        run=in_file("consents.json", lambda folder: SourceAnswers(folder).all()),
        examples=words('{"answers":[{"profile":"me","source":"env","kind":"SECRET","allowed":true}]}'),
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="hints",
        modules=("_interprocess.hints",),
        run=in_file("hints/me.json", lambda folder: HintsFile(folder, "me").read().seconds_to_wait(SYSTEM.now())),
        examples=HINTS,
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="dismissed prompts",
        modules=("_stores.keychain.dismissals",),
        run=in_file("keychain/prompt.json", lambda folder: Dismissals(folder).pause()),
        examples=words('{"last":{"wall":1.0,"elapsed":1.0,"boot_id":"b"},"in_a_row":3}'),
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="choice of the keychain",
        modules=("_stores.keychain.choice",),
        run=in_file("keychain/me.json", _state("keychain", "me.json", build=lambda found: str(found["keychain"]))),
        examples=words('{"keychain":"SECRET"}'),
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="intent file",
        modules=("_stores.records.intent_file", "_stores.records.chunks"),
        run=in_file("intents/me.intent", lambda folder: IntentFile(folder, "me").read()),
        examples=(_intent(),),
        tokens=words("fk1.", "i.", "."),
        limit=1 << 20,
    ),
    Target(
        name="chunked record",
        modules=("_stores.records.chunks", "_stores.records.codec"),
        run=_records,
        examples=(
            "\n".join(chunks.record_items(Record(generation=1, payload=PAYLOAD, written_at=NOW), 400)).encode(),
            _intent(),
        ),
        tokens=words("fk1.", "r.", "\n", "."),
        limit=1 << 20,
    ),
    Target(
        name="content of a record",
        modules=("_stores.records.chunks",),
        run=_well_chunked,
        examples=words(
            '{"written_at":1.0,"payload":"SECRET"}',
            '{"token_hash":"SECRET","noted":{"wall":1,"elapsed":1,"boot_id":"b"},"pid":1}',
        ),
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="stored credential",
        modules=("_stores.records.codec",),
        run=_payload,
        examples=(PAYLOAD.reveal().encode(),),
        tokens=JSON,
        limit=1 << 20,
        frameless=True,
    ),
    Target(
        name="header of the file store",
        modules=("_stores.encrypted_file.key",),
        run=in_file("store/key.json", _key),
        examples=words('{"kind":"passphrase","salt":"AAAA","n":131072,"r":8,"p":1,"check":"SECRET","schema":1}'),
        tokens=words('"n":', '"r":', "1048576", "9999999999", ",", '"\\ud800"', "null", "1.0"),
        limit=1 << 20,
    ),
    Target(
        name="key file",
        modules=("_stores.encrypted_file.key",),
        run=in_file("file.key", _key_file),
        examples=words("a" * 43 + "=", "SECRET"),
        tokens=words("=", "a", "\n"),
        limit=1 << 20,
    ),
    Target(
        name="encrypted item",
        modules=("_stores.encrypted_file.store",),
        run=in_file("store/me.0.0", _items),
        examples=(b"n" * 12 + b"c" * 40,),
        limit=1 << 20,
    ),
    Target(
        name="path",
        modules=("_files.path_text",),
        run=lambda data: path_flaw(text(data).replace("\0", "")),
        examples=words("/a/b", "~/x", "$HOME/x", '"/x"', "file:///x", "%APPDATA%\\x"),
        tokens=words("$", "{", "}", "%", "/", "~"),
    ),
    Target(
        name="shape of a secret",
        modules=("_secret_input.shape",),
        run=lambda data: looks_like(text(data)),
        examples=words("SECRET", "KEY=SECRET", '"SECRET"', "Bearer SECRET", "export KEY=SECRET", '{"key":"SECRET"}'),
        tokens=words("=", '"', "Bearer ", "export ", "-----BEGIN ", "{", ":", " "),
        limit=1 << 16,
    ),
    Target(
        name="secret in a variable",
        modules=("_secret_input.env_var",),
        run=_variable,
        examples=words("SECRET", "KEY=SECRET", "SECRET SECRET", '"SECRET'),
        tokens=words("=", '"', "Bearer ", " "),
        frameless=True,
    ),
    Target(
        name="identity token",
        modules=("_secret_input.identity_token",),
        run=lambda data: identity_token(data, where="TOKEN", code="x"),
        examples=IDENTITY_TOKENS,
        tokens=words(".", "eyJhbGciOiJSUzI1NiJ9.", "e30.", "W10", "-----BEGIN "),
        limit=2 * MAX_LENGTH,
        frameless=True,
    ),
    Target(
        name="identity token in a file",
        modules=("_secret_input.identity_token",),
        run=in_file("token", lambda folder: identity_token_file(folder / "token", named_by="X", code="x")),
        examples=IDENTITY_TOKENS,
        tokens=words(".", "eyJhbGciOiJSUzI1NiJ9."),
        limit=2 * MAX_LENGTH,
        frameless=True,
    ),
    Target(
        name="helper's output",
        modules=("_commands.helper",),
        run=_helper,
        examples=words('{"version":1,"token":"SECRET"}', "SECRET\n", "SECRET\nSECRET\n", "{"),
        tokens=JSON,
    ),
)
