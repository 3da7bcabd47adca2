"""Starts moto's server, which simulates AWS over HTTP: STS, IAM and Bedrock Runtime, optionally with signatures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from types import TracebackType
from typing import Any, Final, Self

import boto3
import httpx
import pytest
from attrs import frozen
from botocore.config import Config


REGION: Final = "eu-west-1"

_ALL_OF_IT: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["bedrock:*", "sts:*"], "Resource": "*"}],
}
_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
_UNLIMITED: Final = "inf"


@frozen
class Keys:
    """An access key known to the server."""

    access_key_id: str
    secret_access_key: str

    @property
    def ini(self) -> str:
        """The lines of a profile in a credentials file."""
        return f"aws_access_key_id = {self.access_key_id}\naws_secret_access_key = {self.secret_access_key}\n"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables."""
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}


class Moto:
    """moto's server on a free loopback port; a context manager."""

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            pytest.importorskip("moto", reason="moto is not installed in the rig of Windows")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found[0]
                break
        assert self.url, "moto's server did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        self._process.terminate()
        self._process.wait()
        self._process.stderr.close()

    def check_signatures(self, checked: bool = True) -> None:
        """Check the signature of every request from now on, or of none."""
        answer = httpx.post(
            f"{self.url}/moto-api/reset-auth",
            content="0" if checked else _UNLIMITED,
            headers={"Content-Type": "text/plain"},
        )
        answer.raise_for_status()

    def user(self, name: str) -> Keys:
        """Create a user with all permissions, and return an access key."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(_ALL_OF_IT))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(key["AccessKeyId"], key["SecretAccessKey"])

    def role(self, name: str) -> str:
        """Create a role and return its ARN."""
        iam = self.client("iam")
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_TRUST))
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(_ALL_OF_IT))
        return str(role["Role"]["Arn"])

    def client(self, service: str, **keys: Any) -> Any:
        """Return a client of AWS's SDK for this server."""
        made_up = {"aws_access_key_id": "AKIAMADEUP", "aws_secret_access_key": "made up"}
        return boto3.Session(**{"region_name": REGION, **(keys or made_up)}).client(
            service, endpoint_url=self.url, config=Config(retries={"total_max_attempts": 1}, proxies={})
        )
