"""Secrets in the wrong place: as a path, a name, a URL or a setting; nothing shows them (TRU-13)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import attrs
import pytest

import freshkey_bedrock
import freshkey_claude_oauth
import freshkey_cli
import freshkey_oidc
import freshkey_vertex
from freshkey.errors import FreshkeyError
from freshkey.plugin import NonInteractive, Profile
from freshkey_bedrock.description import description as bedrock
from freshkey_claude_oauth.description import description as claude
from freshkey_oidc.description import description as oidc
from freshkey_vertex.description import description as vertex


DESCRIPTIONS: Final = {
    "bedrock": bedrock(None),
    "claude_oauth": claude(None),
    "oidc": oidc(None),
    "vertex": vertex(None),
}

ACQUIRE: Final = {
    "bedrock": freshkey_bedrock.acquire,
    "claude_oauth": freshkey_claude_oauth.acquire,
    "oidc": freshkey_oidc.acquire,
    "vertex": freshkey_vertex.acquire,
}
PEM: Final = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh3kiG9w0B4QEFA5SC\n-----END PRIVATE KEY-----\n"
SECRETS: Final = {
    "json": json.dumps({"type": "service_account", "private_key": PEM, "client_email": "x@y.iam.gserviceaccount.com"}),
    "pem": PEM,
    "anthropic": "sk-ant-oat01-h3kiG9w0B4QEFA5SCBKcwgg7",
    "bedrock": "ABSKQmVkcm9ja0FQSUtleS1h3kiG9w0B4QEFA5SC=",
    "aws": "AKIAQ3EGUM7K2L4N5P6R:h3kiG9w0/B4QEFA5SC+BKcwgg7Skj",
    "jwt": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJoM2tpRzl3MCJ9.h3kiG9w0B4QEFA5SC",
    "google": "ya29.a0h3kiG9w0B4QEFA5SCBKcwgg7Skj",
    "hex": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c",
    "lines": "9f86d081884c7d659a2fea\na0c55ad015a3bf4f1b2b0b822c",
    "encoded": "%7B%22private_key%22%3A%22h3kiG9w0B4QEFA5SC",
    "newline": "sk-ant-oat01-h3kiG9w0B4QEFA5SCBKcwgg7\n",
}
WINDOW: Final = 12
"""So many characters in a row are a quotation."""

VARIABLES: Final = {
    "bedrock": (
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION"),
        *("AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_DATA_PATH"),
    ),
    "claude_oauth": (
        *("ANTHROPIC_CONFIG_DIR", "ANTHROPIC_PROFILE", "ANTHROPIC_IDENTITY_TOKEN_FILE", "ANTHROPIC_BASE_URL"),
        *("ANTHROPIC_FEDERATION_RULE_ID", "ANTHROPIC_ORGANIZATION_ID", "ANTHROPIC_WORKSPACE_ID"),
        "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    ),
    "oidc": ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    "vertex": (
        *("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GOOGLE_CLOUD_PROJECT", "CLOUD_ML_REGION"),
        *("GCE_METADATA_HOST", "GOOGLE_CLOUD_QUOTA_PROJECT", "GCE_METADATA_ROOT"),
    ),
}
CORE: Final = ("FRESHKEY_CONFIG_DIR", "FRESHKEY_STATE_DIR", "FRESHKEY_PROFILE", "HTTPS_PROXY", "SSL_CERT_FILE")
ALONGSIDE: Final = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": "eu-west-1",
    "ANTHROPIC_FEDERATION_RULE_ID": "fdrl_x",
    "ANTHROPIC_ORGANIZATION_ID": "org",
    "ANTHROPIC_IDENTITY_TOKEN": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    "ANTHROPIC_BASE_URL": "https://127.0.0.1:9",
    "GOOGLE_CLOUD_PROJECT": "demo",
    "NO_GCE_CHECK": "true",
}
COMMANDS: Final = ("token", "explain")

T = TypeVar("T")


def share(places: Iterable[T], family: str) -> list[T]:
    """Return a third of the places, another third for the next family: trying all with all takes minutes."""
    first = list(SECRETS).index(family) % 3
    return list(places)[first::3]


def quoted_parts(shown: str, secret: str) -> list[str]:
    flat = secret.strip()
    parts = (flat[start : start + WINDOW] for start in range(max(1, len(flat) - WINDOW + 1)))
    telling = (part for part in parts if any(map(str.isdigit, part)) and part not in "eyJhbGciOiJSUzI1NiJ9")
    return [part for part in telling if part in shown or part in shown.replace("\\n", "\n")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [*os.environ]:
        if name.startswith(("AWS_", "ANTHROPIC_", "CLAUDE_", "GOOGLE_", "GCE_", "CLOUDSDK_", "FRESHKEY_", "XDG_")):
            monkeypatch.delenv(name)
    project = tmp_path / "elsewhere"
    project.mkdir()
    monkeypatch.chdir(project)
    (tmp_path / "config").mkdir(mode=0o700)
    places = {
        "HOME": str(tmp_path),
        "FRESHKEY_CONFIG_DIR": str(tmp_path / "config"),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
    }
    for name, value in {**places, **ALONGSIDE}.items():
        monkeypatch.setenv(name, value)
    yield tmp_path
    for name in ("state", "config"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)


def said(home: Path, capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command, as text and as JSON, and return all that it printed and wrote."""
    printed: list[str] = []
    for options in ([], ["--json"]):
        freshkey_cli.run([*arguments, *options], environ=os.environ)
        printed += capfd.readouterr()
    kept = [path for path in home.rglob("*") if path.is_file() and path.name != "config.toml"]
    return "".join([*printed, *map(str, kept), *(path.read_text("utf-8", "replace") for path in kept)])


def raised(provider: str, home: Path) -> Iterator[str]:
    """Yield what the errors say of every source that finds something."""
    settings = DESCRIPTIONS[provider].settings()
    profile = Profile(name="me", provider=provider, settings=settings, state_dir=home / "state")
    for source in DESCRIPTIONS[provider].sources:
        try:
            if not source.owned and source.detect(profile) is not None:
                ACQUIRE[provider](profile, source, NonInteractive("me"))
        except FreshkeyError as error:
            yield f"{error!r} {error} {error.hint} {error.profile}"


@pytest.mark.parametrize("family", SECRETS)
@pytest.mark.parametrize("provider", DESCRIPTIONS)
def test_secret_in_a_variable_is_not_shown(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, provider: str, family: str
) -> None:
    """TRU-13: whichever variable it is in, and whichever command shows what was found."""
    secret, leaks = SECRETS[family], []
    for variable in share((*VARIABLES[provider], *CORE), family):
        with monkeypatch.context() as patched:
            patched.setenv(variable, secret)
            patched.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r") if variable.endswith("TOKEN_FILE") else 0
            patched.delenv("ANTHROPIC_IDENTITY_TOKEN") if variable == "ANTHROPIC_IDENTITY_TOKEN_FILE" else 0
            shown = said(home, capfd, "explain", *([] if variable == "FRESHKEY_PROFILE" else [provider]))
            leaks += [f"explain, {variable}: {part}" for part in quoted_parts(shown, secret)[:1]]
            shown = " ".join(raised(provider, home))
            leaks += [f"exception, {variable}: {part}" for part in quoted_parts(shown, secret)[:1]]
    assert leaks == []


@pytest.mark.parametrize("family", SECRETS)
@pytest.mark.parametrize("provider", DESCRIPTIONS)
def test_secret_in_a_setting_is_not_shown(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, provider: str, family: str
) -> None:
    """TRU-13: in config.toml, as a value, a name and a key."""
    monkeypatch.delenv("ANTHROPIC_IDENTITY_TOKEN")  # a server that is not there would be asked again and again
    secret, leaks = SECRETS[family], []
    settings = [
        one
        for one in attrs.fields(DESCRIPTIONS[provider].settings)
        if "str" in str(one.type) or "Path" in str(one.type)
    ]
    quoted = json.dumps(secret)
    lines = {one.name: f"{one.name} = {quoted}" for one in settings if "tuple" not in str(one.type)}
    lines |= {name: f"{name} = {quoted}" for name in ("source", "store")} | {"a key": f"{quoted} = 1"}
    for name, line in share(lines.items(), family):
        (home / "config" / "config.toml").write_text(f'[profiles.me]\nprovider = "{provider}"\n{line}\n', "utf-8")
        for command in COMMANDS:
            shown = said(home, capfd, command, "me")
            leaks += [f"{command}, {name}: {part}" for part in quoted_parts(shown, secret)[:1]]
    texts = (f"default = {quoted}", f"{quoted} = 1", f"[profiles.{quoted}]\nx = 1", f"observers = [{quoted}]")
    for text in texts if provider == "bedrock" else ():  # they are about the core
        (home / "config" / "config.toml").write_text(text, "utf-8")
        leaks += [f"{text[:9]}: {part}" for part in quoted_parts(said(home, capfd, "token"), secret)[:1]]
    (home / "config" / "config.toml").write_text(f"[profiles.me]\nprovider = {quoted}\n", "utf-8")
    leaks += [f"provider: {part}" for part in quoted_parts(said(home, capfd, "token", "me"), secret)[:1]]
    assert leaks == []


@pytest.mark.parametrize("family", SECRETS)
def test_secret_on_the_command_line_is_not_repeated(home: Path, capfd: pytest.CaptureFixture[str], family: str) -> None:
    """TRU-13: as a profile, a store, a setting or its value."""
    secret, leaks = SECRETS[family], []
    lines = (
        *(["token", secret], ["status", secret], ["logout", secret], ["login", secret], ["explain", secret]),
        *(["token", "bedrock", "--store", secret], ["token", "bedrock", "--set", f"region={secret}"]),
        *(["token", "bedrock", "--set", f"{secret}=1"], ["export", "bedrock", "--format", secret]),
        *(["token", "vertex", "--set", f"credentials_file={secret}"], ["exec", "bedrock", "--", secret]),
        *(["token", "bedrock", "--min-ttl", secret], ["token", "bedrock", "--set", f"aws_profile={secret}"]),
    )
    for line in lines:
        shown = said(home, capfd, *line[:2], *line[2:])
        leaks += [f"{line[:-1]}: {part}" for part in quoted_parts(shown, secret)[:1]]
    assert leaks == []
