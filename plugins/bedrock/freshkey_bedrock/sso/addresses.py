"""The endpoints of IAM Identity Center; no I/O."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from freshkey_bedrock.settings import BedrockSettings


_SUFFIXES: Final = {"cn-": "amazonaws.com.cn", "eusc-": "amazonaws.eu"}


def _suffix(region: str) -> str:
    """Return the DNS suffix of a region's partition (botocore's ``partitions.json``)."""
    return next((suffix for prefix, suffix in _SUFFIXES.items() if region.startswith(prefix)), "amazonaws.com")


def oidc_url(settings: BedrockSettings) -> str | None:
    """Return the URL that registers clients and issues tokens; None if no region is set."""
    region = settings.sso_region
    named = settings.sso_oidc_url
    return named.rstrip("/") if named else region and f"https://oidc.{region}.{_suffix(region)}"


def portal_url(settings: BedrockSettings) -> str | None:
    """Return the URL that issues role credentials; None if no region is set."""
    region = settings.sso_region
    named = settings.sso_portal_url
    return named.rstrip("/") if named else region and f"https://portal.sso.{region}.{_suffix(region)}"


def hosts(settings: BedrockSettings) -> tuple[str, ...]:
    """Return the hosts that a sign-in contacts, sorted."""
    called = (oidc_url(settings), portal_url(settings))
    return tuple(sorted({urlsplit(url).hostname or "" for url in called if url}))
