"""botocore's TLS settings on freshkey's own threads: like the core's, they never write session keys to a file."""

from __future__ import annotations

import functools
import ssl
import threading
from typing import Any

from freshkey.plugin import tls_context


@functools.cache
def use_own_tls(thread_name: str) -> None:
    """Make botocore use freshkey's TLS settings on the threads of that name; the application's own calls keep theirs.

    botocore and urllib3 write session keys to the file that ``SSLKEYLOGFILE`` names, and neither has a setting for it.
    See docs/decisions.md, "No client of freshkey writes TLS session keys to a file".
    """
    from botocore.httpsession import URLLib3Session

    theirs, theirs_for_proxy = URLLib3Session._get_ssl_context, URLLib3Session._setup_proxy_ssl_context  # noqa: SLF001

    def context(self: Any) -> Any:  # noqa: ANN401  botocore has no types
        return _context() if threading.current_thread().name == thread_name else theirs(self)

    def context_for_proxy(self: Any, proxy_url: str) -> Any:  # noqa: ANN401
        found = theirs_for_proxy(self, proxy_url)
        ours = threading.current_thread().name == thread_name and proxy_url.lower().startswith("https:")
        # Without one, urllib3 makes its own.
        return _context() if found is None and ours else found

    URLLib3Session._get_ssl_context = context  # noqa: SLF001
    URLLib3Session._setup_proxy_ssl_context = context_for_proxy  # noqa: SLF001


def _context() -> ssl.SSLContext:
    context = tls_context(authorities=False)  # botocore loads the authorities that AWS's settings name
    context.check_hostname = False  # as in botocore's own: urllib3 compares the names
    return context
