"""HTTP that is limited to the hosts that a profile's settings mean."""

from __future__ import annotations

import functools
from urllib.parse import urlsplit

from freshkey import plugin
from freshkey.plugin import Send
from freshkey_claude_oauth import endpoints
from freshkey_claude_oauth.settings import ClaudeSettings


def sender(settings: ClaudeSettings, *, deadline: float = plugin.DEADLINE) -> Send:
    """Return what does the I/O, limited to the hosts of the settings."""
    return functools.partial(
        plugin.send,
        deadline=deadline,
        hosts=endpoints.hosts(settings),
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )


def endpoint_sender(endpoint: str, settings: ClaudeSettings) -> Send:
    """Return what does the I/O, limited to the host of that endpoint."""
    host = urlsplit(endpoint).hostname or ""
    return functools.partial(plugin.send, hosts=(host,), allow_insecure_loopback=settings.allow_insecure_loopback)
