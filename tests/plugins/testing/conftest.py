from __future__ import annotations

from collections.abc import Iterator

import pytest

from freshkey_testing import AuthorizationServer
from plain_client import PlainClient


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as running:
        yield running


@pytest.fixture
def client(server: AuthorizationServer) -> PlainClient:
    return PlainClient(server)
