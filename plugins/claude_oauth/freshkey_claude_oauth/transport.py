"""HTTP limited to the hosts in a profile's settings."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

from freshkey import plugin
from freshkey.plugin import Send
from freshkey_claude_oauth import endpoints
from freshkey_claude_oauth.settings import ClaudeSettings


def sender(settings: ClaudeSettings, *, deadline: float = plugin.DEADLINE) -> Send:
    """Return a function that sends requests, limited to the hosts in the settings."""
    return functools.partial(
        plugin.send,
        deadline=deadline,
        hosts=endpoints.hosts(settings),
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )


def endpoint_sender(endpoint: str, settings: ClaudeSettings) -> Send:
    """Return a function that sends requests, limited to the host of one endpoint."""
    host = urlsplit(endpoint).hostname or ""
    return functools.partial(plugin.send, hosts=(host,), allow_insecure_loopback=settings.allow_insecure_loopback)
