"""A small OAuth authorization server on loopback, only for tests and demos."""

from __future__ import annotations

from freshkey_testing.server.account import Account as Account
from freshkey_testing.server.app import AuthorizationServer as AuthorizationServer
from freshkey_testing.server.log import Entry as Entry
from freshkey_testing.server.policy import Policy as Policy
from freshkey_testing.server.policy import Rotation as Rotation
