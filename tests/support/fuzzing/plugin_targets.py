"""The parsers of the plugins: AWS's, Google's and Anthropic's files and responses, and the command line."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define

from freshkey.model.identity import Identity
from freshkey.oauth import OAuthClient, Server
from freshkey.plugin import Response
from freshkey.secret import Secret
from freshkey_bedrock import (
    cli_caches,
    clock_skew,
    credential_process,
    ini_file,
    machine_credentials,
    overlooked,
    refusal,
    shared_config,
    stated_end,
    token_files,
)
from freshkey_bedrock.api_key import shape
from freshkey_bedrock.api_key.parse import term_of
from freshkey_bedrock.settings import checked_region
from freshkey_bedrock.sso import oidc, portal
from freshkey_claude_oauth import identity as claude_identity
from freshkey_claude_oauth.anthropic_cli import credentials as cli_credentials
from freshkey_claude_oauth.anthropic_cli import files as cli_files
from freshkey_claude_oauth.anthropic_cli import intent as cli_intent
from freshkey_claude_oauth.anthropic_cli import profiles as cli_profiles
from freshkey_claude_oauth.endpoints import api_token_endpoint
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.settings import checked_profile_name
from freshkey_cli import key_input, options, output
from freshkey_cli.parser import parse
from freshkey_oidc import identity as oidc_identity
from freshkey_oidc.settings import OidcSettings
from freshkey_vertex import (
    aws_clock,
    aws_ends,
    aws_files,
    aws_tokens,
    credentials_file,
    executable,
    subject_token,
    versions,
)
from freshkey_vertex import errors as vertex_errors
from freshkey_vertex import identity as vertex_identity
from fuzzing.core_targets import CLAIMS, JSON, NOW, in_file
from fuzzing.inputs import SECRET
from fuzzing.target import Target, text, words
from sending import scripted


@define
class _Answer:
    """A response, as `Credential.judge` sees it."""

    body: bytes
    status: int = 403
    method: str = "POST"
    url: str = "https://a.example"

    @property
    def headers(self) -> dict[str, str]:
        return {}

    def peek(self) -> bytes:
        return self.body[: 1 << 16]


def _ini(data: bytes) -> None:
    for title, section in ini_file.parse(data, Path("/f")).items():
        shared_config.profile_of(title, prefixed=True)
        for value in section.values():
            ini_file.nested(value)


def _shared_files(folder: Path) -> None:
    environ = {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "config")}
    overlooked.overlooked("dev", environ), overlooked.misplaced("dev", environ), overlooked.missing_files(environ)
    found = shared_config.read_files(environ)
    found.section("dev"), found.keys_end("dev"), shared_config.source_chain("dev", found)
    shared_config.signed_in_profile("dev", found)
    found.config_for_botocore(), found.credentials_for_botocore()


def _ends(data: bytes) -> None:
    name, _, value = text(data).partition("=")
    stated_end.stated_end({name: value, "expiration": value})
    aws_ends.of_section({name: value, "expiration": value})
    aws_ends.of_environment(dict.fromkeys(aws_ends.VARIABLES, value))


def _process(data: bytes) -> None:
    keys = credential_process.read_credentials(Secret(data.decode("utf-8", "replace")), "the program")
    credential_process.refuse_expired(keys, "the program", NOW)


def _judged(data: bytes) -> None:
    for status in (400, 403):
        refusal.judge(_Answer(data, status))
        refusal.judge_api_key(_Answer(data, status))


def _metadata_service(data: bytes) -> None:
    machine_credentials._said(data)
    machine_credentials._origin("http://169.254.170.2/x")


class _Cache:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _convert_cache_key(self, key: str) -> str:
        return str(self._folder / f"{key}.json")


def _cli_cache(folder: Path) -> None:
    size = (folder / "session.json").stat().st_size
    read = (cli_caches.sso_session, cli_caches.login_session)[size % 2]
    cli_caches.CheckedCache(_Cache(folder), read, command="sso login", aws_profile="dev")["session"]


def _aws_words(data: bytes) -> None:
    message = data.decode("utf-8", "replace")
    clock_skew.seconds_behind(message, {"date": message[:100]}, NOW)
    clock_skew.blames_the_clock("SignatureDoesNotMatch", message, None)
    aws_clock.refused("SignatureDoesNotMatch", message, {"date": message[:100]}, NOW)
    aws_clock.ahead(message, NOW)


def _api_key(data: bytes) -> None:
    written = text(data)
    shape.other_than_key(written), shape.other_than_entered_key(written)
    term_of(Secret(written))


def _short_term(url: str) -> bytes:
    return b"bedrock-api-key-" + base64.b64encode(url.encode())


def _aws_token(folder: Path) -> None:
    path = str(folder / "token")
    token_files.container_headers({"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": path})
    aws_tokens.container_headers({"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": path})
    token_files.IdentityToken(path)()
    aws_tokens.TokenFile(path)()


def _portal(data: bytes) -> None:
    status = (200, 401, 403, 429)[len(data) % 4]
    answer = Response(status=status, headers={}, body=data)
    portal.role_keys(
        "https://p.example", Secret("t"), account_id="1" * 12, role_name="r", send=lambda _: answer, now=NOW
    )


def _registration(data: bytes) -> None:
    answer = Response(status=(200, 400)[len(data) % 2], headers={}, body=data)
    center = oidc.IdentityCenter(
        oidc="https://o.example", start_url="https://s.example", profile=scripted(lambda _: answer)
    )
    oidc.register(center, "device")


def _aws_files(data: bytes) -> None:
    written = data.decode("utf-8", "replace")
    aws_files._doubled(written)
    aws_files._sections(written, Path("/f"))


# --- Anthropic ------------------------------------------------------------------------------------------------------


def _cli_profile(folder: Path) -> None:
    environ = {"ANTHROPIC_CONFIG_DIR": str(folder)}
    cli_profiles.load("me", environ)


def _cli_tokens(folder: Path) -> None:
    profile = cli_profiles.CliProfile(
        name="me", path=folder / "c", credentials=folder / "me.json", token_endpoint="https://a.example"
    )
    tokens = cli_credentials.read_tokens(profile)
    tokens.seconds_left(NOW), tokens.scopes, tokens.identity


def _cli_intent(folder: Path) -> None:
    cli_intent.IntentFile(folder / "me.json").read(Secret("t"))


def _claude_profile(data: bytes) -> None:
    claude_identity.read_profile(Response(status=200, headers={}, body=data), Identity())


def _claude_variable(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(text(data).replace("\0", ""))


# --- Google ---------------------------------------------------------------------------------------------------------


def _credentials_file(folder: Path) -> None:
    versions.version_of(folder / "adc.json", {})
    credentials_file.read_file(folder / "adc.json")


def _subject(data: bytes) -> None:
    as_json = {"url": "u", "format": {"type": "json", "subject_token_field_name": "t"}}
    for source in ({"url": "u"}, as_json):
        subject_token._token(data, source, "the response")


def _google_errors(data: bytes) -> None:
    vertex_errors._read(Response(status=403, headers={}, body=data))


def _id_token(data: bytes) -> None:
    payload = base64.urlsafe_b64encode(data).decode().rstrip("=")
    vertex_identity.from_id_token({"id_token": f"x.{payload}.y"}, Identity())
    vertex_identity.from_id_token({"id_token": text(data)}, Identity())


def _executable(data: bytes) -> None:
    value: Any = None
    try:
        value = json.loads(data)  # as google-auth does
    except (ValueError, RecursionError):
        return
    executable._refusal(value)


# --- any issuer -----------------------------------------------------------------------------------------------------


def _oidc_userinfo(account_claim: str, subject: str | None = None) -> Callable[[bytes], object]:
    def run(data: bytes) -> None:
        answer = Response(status=200, headers={"content-type": "application/json"}, body=data)
        settings = OidcSettings(account_claim=account_claim, organization_claim="tid")
        profile = scripted(lambda _: answer, settings=settings)
        server = Server(token_endpoint="https://a.example/token", userinfo_endpoint="https://a.example/userinfo")
        client = OAuthClient.of(profile, server, "me")
        oidc_identity.asked(Secret(SECRET), client, profile, Identity(account="user-1"), subject)

    return run


# --- the command line -----------------------------------------------------------------------------------------------


def _arguments(data: bytes) -> None:
    # argparse takes time that grows with the square of the number of options; people type a few.
    words = text(data).replace("\0", "").split("\n")[:1000]
    argv = [word for word in words if word not in {"-h", "--help", "--version"}]
    with suppress(SystemExit):
        parse(argv)


def _stdin(data: bytes) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, data[:65536])
        os.close(writer)
        key_input.read_key(reader, lambda _: None)
    finally:
        os.close(reader)


def _clean(data: bytes) -> None:
    shown = output.clean(text(data))
    if re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown):
        raise AssertionError


INI = words(
    "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = SECRET\nx_security_"
    "token_expires = 2026-01-01T00:00:00+00:00\n",
    "[profile dev]\nsso_session = s\nregion = eu-central-1\ns3 =\n  max = 3\n  SECRET\n[sso-session s"
    "]\nsso_start_url = https://a\n",
    '[profile "dev"]\ncredential_process = "/bin/x" SECRET\n[profile dev]\nrole_arn = r\nsource_profile = dev\n',
    "SECRET\n[dev\naws_secret_access_key SECRET\n",
)
INI_WORDS = words(
    "[",
    "]",
    "\n",
    "\n ",
    " = ",
    "=",
    ":",
    "#",
    ";",
    "[profile ",
    '"',
    "'",
    "[DEFAULT]\n",
    "\n\n",
    "a=1\n",
    "[a]\n",
    "a=\n b=1\n",
    "%(a)s",
    " ",
)
ADC = words(
    '{"type":"authorized_user","client_id":"c","client_secret":"SECRET","refresh_token":"SECRET"}',
    '{"type":"service_account","client_email":"a@b","private_key":"-----BEGIN\nSECRET","token_uri":"https://SECRET@a"}',
    '{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"https://a.example",'
    '"credential_source":{"file":"/SECRET","url":"http://[::1"}}',
    '{"type":"impersonated_service_account","service_account_impersonation_url":"https://a.example",'
    '"source_credentials":{"type":"authorized_user"}}',
    '{"installed":{"client_secret":"SECRET"}}',
)
AWS_KEYS = words(
    '{"Version":1,"AccessKeyId":"AKIA","SecretAccessKey":"SECRET","SessionToken":"SECRET","Expiration'
    '":"2030-01-01T00:00:00Z"}',
    '{"Credentials":{"AccessKeyId":"AKIA","SecretAccessKey":"SECRET"}}',
    '{"accessToken":"SECRET","expiresAt":"2030-01-01T00:00:00Z","refreshToken":"SECRET","clientId":"c"}',
    '{"roleCredentials":{"accessKeyId":"AKIA","secretAccessKey":"SECRET","sessionToken":"SECRET","exp'
    'iration":1767225600000}}',
    '{"clientId":"c","clientSecret":"SECRET","clientSecretExpiresAt":1767225600}',
    '{"Code":"Failed","Message":"SECRET"}',
)
TIMES = words(
    "T",
    "Z",
    ":",
    "-",
    "+",
    ".",
    "0",
    "2026",
    " ",
    "UTC",
    ",",
    "Thu",
    "Jan",
    "GMT",
    "(",
    ")",
    "expiration=",
    "_",
    "expires",
)

TARGETS: tuple[Target, ...] = (
    Target(name="AWS file", modules=("bedrock.ini_file",), run=_ini, examples=INI, tokens=INI_WORDS, limit=262_144),
    Target(
        name="AWS files together",
        modules=("bedrock.shared_config", "bedrock.overlooked"),
        run=in_file("config", _shared_files),
        examples=INI,
        tokens=INI_WORDS,
        limit=262_144,
    ),
    Target(
        name="AWS files of google-auth",
        modules=("vertex.aws_files",),
        run=_aws_files,
        examples=INI,
        tokens=INI_WORDS,
        limit=262_144,
    ),
    Target(
        name="ends of AWS keys",
        modules=("bedrock.stated_end", "vertex.aws_ends"),
        run=_ends,
        examples=words(
            "expiration=2026-01-01T00:00:00Z",
            "x_security_token_expires=2026-01-01 00:00:00 +0000 UTC",
            "expires=Thu, 01 Jan 2026 00:00:00 GMT",
            "expiry=1767225600000",
        ),
        tokens=TIMES,
    ),
    Target(
        name="credential_process",
        modules=("bedrock.credential_process",),
        run=_process,
        examples=AWS_KEYS,
        tokens=JSON,
        frameless=False,
    ),
    Target(
        name="AWS refusal",
        modules=("bedrock.refusal",),
        run=_judged,
        examples=words(
            '{"__type":"ns#ExpiredTokenException:http://x","message":"SECRET"}',
            "<Error><Code>ExpiredToken</Code></Error>",
            '{"Error":{"Error":{"Code":"x"}}}',
            '"An error occurred (ExpiredToken) when calling x"',
        ),
        tokens=(*JSON, *words("<Code>", "</Code>", '{"Error":', '"Code":"', " ", ": ")),
        limit=1 << 16,
    ),
    Target(
        name="AWS metadata service",
        modules=("bedrock.machine_credentials",),
        run=_metadata_service,
        examples=AWS_KEYS,
        tokens=JSON,
    ),
    Target(
        name="AWS CLI's cache",
        modules=("bedrock.cli_caches",),
        run=in_file("session.json", _cli_cache),
        examples=AWS_KEYS,
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="words of AWS",
        modules=("bedrock.clock_skew", "vertex.aws_clock"),
        run=_aws_words,
        examples=words(
            "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z (20260101T001000Z - 5 min.)"
        ),
        tokens=TIMES,
    ),
    Target(
        name="Bedrock API key",
        modules=("bedrock.api_key.parse", "bedrock.api_key.shape"),
        run=_api_key,
        examples=(
            _short_term(
                f"bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Credential={SECRET}/20260101"
                f"/us-east-1/bedrock/aws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=43200&X-Am"
                f"z-Signature={'0' * 64}"
            ),
            _short_term("[SECRET/?X-Amz-Expires=1"),
            *words("ABSKSECRET", "AKIAIOSFODNN7EXAMPLE", "SECRET"),
        ),
        tokens=words("bedrock-api-key-", "A", "=", "/", "+", "aA0/"),
    ),
    Target(
        name="AWS token file",
        modules=("bedrock.token_files", "vertex.aws_tokens"),
        run=in_file("token", _aws_token),
        examples=words("SECRET", "SECRET\nSECRET", '"SECRET"'),
        limit=1 << 18,
    ),
    Target(
        name="AWS region",
        modules=("bedrock.settings",),
        run=lambda data: checked_region(text(data), "region"),
        examples=words("us-east-1", "us-gov-west-1"),
        tokens=words("a", "-a", "-", "1"),
        limit=4096,
    ),
    Target(
        name="IAM Identity Center's keys",
        modules=("bedrock.sso.portal",),
        run=_portal,
        examples=AWS_KEYS,
        tokens=JSON,
        limit=1 << 20,
        frameless=False,
    ),
    Target(
        name="IAM Identity Center's client",
        modules=("bedrock.sso.oidc",),
        run=_registration,
        examples=AWS_KEYS,
        tokens=JSON,
        limit=1 << 20,
        frameless=False,
    ),
    Target(
        name="Anthropic's credentials",
        modules=("claude_oauth.anthropic_cli.credentials", "claude_oauth.anthropic_cli.files"),
        run=in_file("me.json", _cli_tokens),
        examples=words(
            '{"version":"1.0","type":"oauth_token","access_token":"SECRET","refresh_token":"SECRET","'
            'expires_at":1767225600,"scope":"a b"}',
            '{"access_token":"SECRET SECRET"}',
        ),
        tokens=JSON,
        limit=262_145,
        frameless=True,
    ),
    Target(
        name="Anthropic's profile",
        modules=("claude_oauth.anthropic_cli.profiles", "claude_oauth.federation.rule"),
        run=in_file("configs/me.json", _cli_profile),
        examples=words(
            '{"authentication":{"type":"user_oauth","client_id":"c","credentials_path":"/SECRET"},"ba'
            'se_url":"https://SECRET@a.example"}',
            '{"organization_id":"o","authentication":{"type":"oidc_federation","federation_rule_id":"'
            'r","identity_token":{"source":"file","path":"/x"}}}',
        ),
        tokens=JSON,
        limit=262_145,
    ),
    Target(
        name="Anthropic's active profile",
        modules=("claude_oauth.anthropic_cli.files",),
        run=in_file("active_config", cli_files.active_name),
        examples=words("me", "../x"),
        limit=262_145,
    ),
    Target(
        name="Anthropic's intent",
        modules=("claude_oauth.anthropic_cli.intent",),
        run=in_file(".freshkey/me.json.intent.json", _cli_intent),
        examples=words('{"token":"SECRET","started_at":1.0,"pid":1,"attempts":1,"sent_at":1e308}'),
        tokens=JSON,
        limit=262_145,
    ),
    Target(
        name="Claude profile",
        modules=("claude_oauth.identity",),
        run=_claude_profile,
        examples=words(
            '{"account":{"uuid":"u","email":"SECRET"},"organization":{"uuid":"o","organization_type":"claude_max"}}'
        ),
        tokens=JSON,
        limit=1 << 20,
    ),
    Target(
        name="ANTHROPIC_PROFILE",
        modules=("claude_oauth.settings",),
        run=_claude_variable(lambda value: checked_profile_name(value, "ANTHROPIC_PROFILE")),
        examples=words("me", "../SECRET"),
        tokens=words("/", ".."),
    ),
    Target(
        name="ANTHROPIC_BASE_URL",
        modules=("claude_oauth.endpoints",),
        run=_claude_variable(lambda value: api_token_endpoint(value, what="ANTHROPIC_BASE_URL")),
        examples=words("https://SECRET@a.example", "https://[SECRET"),
        tokens=words("/", "[", "@", "?", "https://"),
    ),
    Target(
        name="ANTHROPIC_IDENTITY_TOKEN",
        modules=("claude_oauth.federation.identity_token",),
        run=_claude_variable(lambda value: identity_token.read(None, {identity_token.VARIABLE: value})),
        examples=words("SECRET SECRET", "SECRET"),
    ),
    Target(
        name="Google's credentials file",
        modules=("vertex.credentials_file", "vertex.file_flaws", "vertex.versions", "vertex.command_words"),
        run=in_file("adc.json", _credentials_file),
        examples=ADC,
        tokens=(
            *JSON,
            *words(
                '"url":"http://[',
                '"type":',
                '"file":"\\u0000"',
                '{"type":"impersonated_service_account","source_credentials":',
            ),
        ),
        limit=1 << 18,
    ),
    Target(
        name="identity token for Google",
        modules=("vertex.subject_token",),
        run=_subject,
        examples=words("SECRET", '{"t":"SECRET"}', "{SECRET"),
        tokens=JSON,
        limit=1 << 18,
        frameless=True,
    ),
    Target(
        name="identity token program",
        modules=("vertex.executable",),
        run=_executable,
        examples=words('{"success":false,"code":"401","message":"SECRET"}', '{"success":false,"code":"SECRET"}'),
        tokens=JSON,
        limit=1 << 16,
    ),
    *(
        Target(
            name=f"userinfo of any issuer ({claim})",
            modules=("oidc.identity",),
            run=_oidc_userinfo(claim),
            examples=(*CLAIMS, *words('{"id":7,"login":"SECRET"}', '{"id":"SECRET","email":"SECRET"}')),
            tokens=JSON,
            limit=1 << 20,
        )
        for claim in ("sub", "id")
    ),
    Target(
        name="Google's error",
        modules=("vertex.errors",),
        run=_google_errors,
        examples=words(
            '{"error":{"code":403,"status":"PERMISSION_DENIED","message":"SECRET","details":[{"reason'
            '":"X","metadata":{"service":"a"},"violations":[{"type":"x"}]}]}}',
            '{"error":"invalid_grant","error_subtype":"invalid_rapt","error_description":"SECRET"}',
        ),
        tokens=(*JSON, *words('"details":[', '"violations":[', '"reason":')),
        limit=1 << 20,
    ),
    Target(
        name="ID token",
        modules=("vertex.identity",),
        run=_id_token,
        examples=words('{"sub":"1","email":"a@b","hd":"SECRET"}', "a.b.c", "SECRET.SECRET.SECRET"),
        tokens=(*JSON, *words(".", "=")),
    ),
    Target(
        name="arguments",
        modules=("cli.parser", "cli.options"),
        run=_arguments,
        examples=words(
            "token\nme\n--min-ttl\n60",
            "exec\nme\n--\nprog\n-x",
            "login\nme\n--set\nkey=SECRET",
            "status\n--json",
            "export\nme\n--format\nSECRET",
            "token\n--min-ttl\nSECRET",
        ),
        tokens=words(
            "\n", "--set\n", "a=", "--", "-", "\nme\n", "--json\n", "token\n", "--format\n", "--min-ttl\n", "a.b"
        ),
        limit=1 << 16,
    ),
    Target(
        name="override",
        modules=("cli.options",),
        run=lambda data: options.read_override(text(data)),
        examples=words('key="SECRET"', "key=[1, 2]", "key={a.b=1}"),
        tokens=words("a.", "[", "{", "=", '"', "\n", "{a="),
        limit=1 << 17,
        allowed=(ValueError,),
    ),
    Target(
        name="key on standard input",
        modules=("cli.key_input",),
        run=_stdin,
        examples=words("SECRET\n", "\n\nSECRET\r\n", "SECRET\nSECRET\n"),
        tokens=words("\n", "\r\n", " ", "\t"),
        limit=1 << 16,
    ),
    Target(
        name="text for a terminal",
        modules=("cli.output",),
        run=_clean,
        examples=words("a\x1b[2Jb", "\u202eabc"),
        tokens=words("\x1b", "\u202e", "\x9b", "\u2066"),
    ),
)
