"""Runs django-oauth-toolkit on a free loopback port until stdin is closed.

`python -m counterparts.django_server OPTIONS` in the folder above; the options are one JSON argument, and
`counterparts/django_oauth.py` has them all. One JSON line on stdout contains the issuer.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from threading import Thread
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from counterparts.django_site import configure, fill


class Handler(WSGIRequestHandler):  # type: ignore[misc]  # Django has no types
    """Gives the connection to the application, and logs nothing: paths and headers contain secrets."""

    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), "counterpart.connection": self.connection}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  name in the base class
        """Print nothing."""


def main(options: dict[str, Any]) -> None:
    """Serve until stdin is closed, and then remove the database."""
    server = ThreadedWSGIServer(("127.0.0.1", options["port"]), Handler, allow_reuse_address=True)
    origin = f"http://127.0.0.1:{server.server_port}"
    configure(options, origin)
    django.setup()
    fill(options)
    server.set_app(WSGIHandler())
    Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({"issuer": f"{origin}/o"}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    shutil.rmtree(options["folder"], ignore_errors=True)
    os._exit(0)  # requests that are still running do not matter


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
