"""A small OAuth authorization server on loopback for tests and demonstrations; never for anything else."""

from __future__ import annotations

from freshkey.testing.server.account import Account as Account
from freshkey.testing.server.app import AuthorizationServer as AuthorizationServer
from freshkey.testing.server.log import Entry as Entry
from freshkey.testing.server.policy import Policy as Policy
from freshkey.testing.server.policy import Rotation as Rotation
