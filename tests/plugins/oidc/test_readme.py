"""The README matches the provider: every source in order, every setting, and tables that its settings accept."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from counterparts.bearer_api import ANSWER, BearerApi
from freshkey import Configuration
from freshkey_oidc.description import description
from freshkey_oidc.issuer import setup
from freshkey_oidc.settings import OidcSettings
from freshkey_oidc.sources import SOURCES
from page_blocks import Block, blocks
from source_tree import ROOT
from typed_profile import typed


PAGE = "plugins/oidc/README.md"
README = (ROOT / PAGE).read_text("utf-8")
TABLES = blocks(PAGE, "toml")
VENDORS = ("GitHub", "GitLab", "Google", "Microsoft Entra ID", "Auth0", "Okta", "Keycloak", "A company's own server")
PLATFORMS = {
    "GitHub Actions": "from-actions",
    "Kubernetes": "from-kubernetes",
    "GitLab CI": "from-gitlab",
    "Azure workload identity": "from-azure",
}


def rows(first_column: str) -> list[list[str]]:
    """Return the cells of the table with this title of the first column."""
    _, found, rest = README.partition(f"\n| {first_column} |")
    assert found
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def section(title: str) -> str:
    """Return the text below a heading of the third level."""
    _, found, rest = README.partition(f"\n### {title}\n")
    assert found, f"there is no heading {title!r}"
    return rest.partition("\n## ")[0].partition("\n### ")[0]


def settings_in(block: Block, folder: Path) -> dict[str, OidcSettings]:
    """Return the settings of each profile in a table, read as from a configuration file."""
    file = folder / "config.toml"
    # What is absolute depends on the current drive there.
    file.write_text(block.text.replace('"/', '"C:/') if sys.platform == "win32" else block.text, "utf-8")
    file.chmod(0o600)
    configuration = Configuration.load({"FRESHKEY_CONFIG_DIR": str(folder)})
    profiles = [typed(configuration, name, description(None)) for name in tomllib.loads(block.text)["profiles"]]
    assert [profile.provider for profile in profiles] == ["oidc"] * len(profiles)
    assert [
        profile.name for profile in profiles if profile.settings_as(OidcSettings).client_id and setup(profile)
    ] == []
    return {profile.name: profile.settings_as(OidcSettings) for profile in profiles}


@pytest.fixture
def every_table(tmp_path: Path) -> dict[str, OidcSettings]:
    return {name: settings for block in TABLES for name, settings in settings_in(block, tmp_path).items()}


# --- tables ----------------------------------------------------------------------------------------------------------


def test_every_source_in_order() -> None:
    assert [row[0].strip("`") for row in rows("`source`")] == [source.id for source in SOURCES]


def test_stored_sources_are_the_owned_ones() -> None:
    stored = {row[0].strip("`") for row in rows("`source`") if row[-1] == "yes"}
    assert stored == {source.id for source in SOURCES if source.owned}


def test_settings_that_choose_a_source_are_in_its_row() -> None:
    for row, source in zip(rows("`source`"), SOURCES, strict=True):
        assert all(f"`{setting}`" in row[2] for setting in source.chosen_by)


def test_every_setting_in_order() -> None:
    assert [row[0].strip("`") for row in rows("Setting")] == [each.name for each in attrs.fields(OidcSettings)]


@pytest.mark.parametrize("name", [each.name for each in attrs.fields(OidcSettings)])
def test_default_matches_the_code(name: str) -> None:
    default = getattr(OidcSettings(), name)
    shown = next(row[1] for row in rows("Setting") if row[0] == f"`{name}`")
    plain = list(default) if isinstance(default, tuple) else default
    assert shown == ("none" if plain is None else f"`{json.dumps(plain)}`")


# --- well-known issuers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", TABLES, ids=lambda block: f"line {block.line}")
def test_table_is_accepted(block: Block, tmp_path: Path) -> None:
    assert settings_in(block, tmp_path)


@pytest.mark.parametrize("vendor", VENDORS)
def test_issuer_has_a_table_its_sources_and_says_that_it_was_not_tried(vendor: str) -> None:
    text = section(vendor)
    assert "```toml" in text
    assert "](https://" in text, "the sources of the facts are missing"
    assert "not tried" in text.lower()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_platform_has_a_table_whose_identity_token_is_exchanged(
    platform: str, every_table: dict[str, OidcSettings]
) -> None:
    text = section("Identity tokens of platforms")
    assert "*Not tried live.*" in text
    assert f"\n**{platform}**" in text
    assert f"[profiles.{PLATFORMS[platform]}]" in text
    assert every_table[PLATFORMS[platform]].identity_source is not None


def test_thumbprint_in_the_table_has_the_length_of_a_sha_256(every_table: dict[str, OidcSettings]) -> None:
    thumbprint = every_table["entra-certificate"].certificate_thumbprint
    assert thumbprint is not None
    assert len(base64.urlsafe_b64decode(f"{thumbprint}=")) == hashlib.sha256().digest_size


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the command of the page is openssl's")
@pytest.mark.skipif(sys.platform == "win32", reason="the command of the page is for a POSIX shell")
def test_command_prints_the_thumbprint_of_a_certificate(tmp_path: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + dt.timedelta(days=365))
    certificate = builder.sign(key, SHA256())
    (tmp_path / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    command = next(block.text for block in blocks(PAGE, "sh") if block.about == "thumbprint")
    done = subprocess.run(["sh", "-euc", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    expected = base64.urlsafe_b64encode(certificate.fingerprint(SHA256())).decode().rstrip("=")
    assert done.stdout == expected  # RFC 7515, section 4.1.8


# --- examples --------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BearerApi]:
    """An API that takes the token of the profiles in the examples, which is in a variable here."""
    table = 'provider = "oidc"\ntoken_variable = "TOKEN_OF_THE_README"\n'
    (tmp_path / "config.toml").write_text(f"[profiles.work]\n{table}[profiles.foundry]\n{table}", "utf-8")
    (tmp_path / "config.toml").chmod(0o600)
    monkeypatch.setenv("FRESHKEY_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("FRESHKEY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TOKEN_OF_THE_README", "token-of-the-readme")
    for name in ("ANTHROPIC_FOUNDRY_BASE_URL", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with BearerApi(lambda token: token == "token-of-the-readme") as api:
        yield api


def made_by(example: str) -> dict[str, Any]:
    """Run a Python block of the page, and return its names."""
    if sys.platform == "win32":
        pytest.importorskip(
            "anthropic" if example == "foundry" else "openai",
            reason="Wine 8 does not load pydantic_core",
            exc_type=ImportError,
        )
    names: dict[str, Any] = {}
    text = next(block.text for block in blocks(PAGE, "python") if block.about == example)
    exec(compile(text, PAGE, "exec"), names)  # noqa: S102  our own README
    return names


def test_example_for_foundry_sends_the_token(api: BearerApi) -> None:
    names, url = made_by("foundry"), f"{api.url}/anthropic/"
    asked: dict[str, Any] = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}

    async def talk() -> Any:
        async with names["async_client"].with_options(base_url=url) as client:
            return await client.messages.create(**asked)

    with names["keeper"]:
        assert str(names["client"].base_url) == "https://my-resource.services.ai.azure.com/anthropic/"
        with names["client"].with_options(base_url=url) as client:
            assert client.messages.create(**asked).content[0].text == ANSWER
        assert asyncio.run(talk()).content[0].text == ANSWER
    assert [(each.path, each.status) for each in api.served] == [("/anthropic/v1/messages", 200)] * 2


def test_example_for_openai_sends_the_token(api: BearerApi) -> None:
    names = made_by("openai")
    asked: dict[str, Any] = {"model": "gpt", "messages": [{"role": "user", "content": "Hello"}]}

    async def talk() -> Any:
        async with names["async_client"].with_options(base_url=f"{api.url}/v1") as client:
            return await client.chat.completions.create(**asked)

    with names["keeper"]:
        for name in ("client", "azure"):
            with names[name].with_options(base_url=f"{api.url}/v1") as client:
                assert client.chat.completions.create(**asked).choices[0].message.content == ANSWER
        assert asyncio.run(talk()).choices[0].message.content == ANSWER
    assert [each.status for each in api.served] == [200] * 3
