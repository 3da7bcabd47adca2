"""AWS's own clients with credentials from freshkey keep working after an expiry, without knowing about freshkey.

The user signs in on the command line; ``~/.aws/config`` sets ``freshkey export`` as ``credential_process``. IAM
Identity Center and Bedrock Runtime are test doubles, because moto has neither.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from anthropic import AnthropicBedrock, PermissionDeniedError
from anthropic.types import TextBlock
from attrs import frozen
from botocore.config import Config

from bedrock_runtime import ANSWER, MODEL, BedrockRuntime
from freshkey_bedrock.api_key.parse import PREFIX
from freshkey_testing.browser import follow
from sso_double import SsoDouble
from typist import Typist


pytestmark = pytest.mark.counterpart

SHORT = 12.0
"""Lifetime of the first role credentials in seconds: enough for two clients to use them."""

BROWSER = """\
#!{python}
import sys

from freshkey_testing.browser import follow

follow(sys.argv[1])
"""


@frozen
class User:
    """A user's files and programs."""

    root: Path
    runtime: BedrockRuntime
    double: SsoDouble

    def configure(self, **settings: object) -> None:
        folder = self.root / "config"
        folder.mkdir(mode=0o700)
        table = {"provider": "bedrock", "store": "file", "region": "eu-west-1", **settings}
        lines = ["[profiles.work]", *(f"{name} = {json.dumps(value)}" for name, value in table.items())]
        (folder / "config.toml").write_text("\n".join(lines) + "\n", "utf-8")
        process = f"{sys.executable} -m freshkey export work --format credential-process --min-ttl 5"
        self.aws_config(f"[profile freshkey]\nregion = eu-west-1\ncredential_process = {process}\n")

    def aws_config(self, text: str) -> None:
        (self.root / "aws-config").write_text(text, "utf-8")

    def program(self, name: str, script: str) -> str:
        path = self.root / name
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(stat.S_IRWXU)
        return str(path)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False)

    def freshkey(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "freshkey", *arguments)

    def aws(self) -> subprocess.CompletedProcess[str]:
        """Invoke a model with the ``aws`` command line."""
        body, answer = self.root / "body.json", self.root / "answer.json"
        body.write_text("{}")
        program = str(Path(sys.executable).with_name("aws"))
        where = ("--profile", "freshkey", "--endpoint-url", self.runtime.url)
        asked = ("bedrock-runtime", "invoke-model", "--model-id", MODEL, "--body", f"file://{body}")
        ran = self.run(program, *where, *asked, str(answer))
        return ran if ran.returncode else subprocess.CompletedProcess(ran.args, 0, answer.read_text(), ran.stderr)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "ANTHROPIC_", "FRESHKEY_"))]:
        monkeypatch.delenv(name)
    script = tmp_path / "browser"
    script.write_text(BROWSER.format(python=sys.executable))
    script.chmod(stat.S_IRWXU)
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "BROWSER": str(script),
        "FRESHKEY_CONFIG_DIR": str(tmp_path / "config"),
        "FRESHKEY_STATE_DIR": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(name, value)
    with BedrockRuntime() as runtime, SsoDouble() as double:
        double.knobs.role_keys = runtime.issue
        yield User(tmp_path, runtime, double)


@pytest.fixture
def lasting(user: User) -> Callable[[float], None]:
    """Choose the lifetime of the next role credentials."""

    def choose(seconds: float) -> None:
        user.double.knobs.role_seconds = user.runtime.lives = seconds

    return choose


@pytest.mark.timeout(600)
def test_sdk_and_command_line_keep_working_after_an_expiry(user: User, lasting: Callable[[float], None]) -> None:
    user.configure(**user.double.settings())
    began = time.monotonic()
    assert user.freshkey("status").returncode == 0
    # Several commands run before the second client's first use, and each takes longer on a busy machine.
    # The SDK reads the key before the token; if they were renewed in between, it would mix them.
    short = max(SHORT, 60 * (time.monotonic() - began))
    lasting(short)
    signed_in = user.freshkey("login", "work")
    assert signed_in.returncode == 0, signed_in.stderr
    expiry = time.time() + short
    lasting(3600.0)

    with AnthropicBedrock(aws_profile="freshkey", base_url=user.runtime.url, max_retries=0) as claude:
        bedrock = boto3.Session(profile_name="freshkey").client(
            "bedrock-runtime",
            endpoint_url=user.runtime.url,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        assert say(claude) == ANSWER
        bedrock.invoke_model(modelId=MODEL, body=b"{}")

        while time.time() <= expiry:
            time.sleep(0.1)

        assert say(claude) == ANSWER
        bedrock.invoke_model(modelId=MODEL, body=b"{}")
    asked = user.aws()
    assert asked.returncode == 0, asked.stderr
    assert ANSWER in asked.stdout
    assert [call.status for call in user.runtime.calls] == [200] * 5
    assert user.runtime.issued[0] not in user.runtime.keys[2:]
    assert user.double.count("/client/register") == 1, "there was no second sign-in"


def say(claude: AnthropicBedrock) -> str:
    message = claude.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "Good morning"}])
    assert isinstance(message.content[0], TextBlock)
    return message.content[0].text


def test_short_term_api_key_authorizes_the_sdk(user: User) -> None:
    keys = user.runtime.issue(1)
    printed = {"Version": 1, **{name[0].upper() + name[1:]: value for name, value in keys.items()}}
    program = user.program("print-keys", f"echo '{json.dumps(printed)}'")
    user.configure(source="short-term-key", credential_export=[program])
    shown = user.freshkey("token", "work")
    assert shown.returncode == 0, shown.stderr
    key = shown.stdout.strip()
    assert key.startswith(PREFIX)
    with AnthropicBedrock(api_key=key, aws_region="eu-west-1", base_url=user.runtime.url, max_retries=0) as claude:
        assert say(claude) == ANSWER
    assert user.runtime.keys == [keys["accessKeyId"]]
    changed = base64.b64encode(base64.b64decode(key.removeprefix(PREFIX)).replace(b"Expires=4", b"Expires=3")).decode()
    with (
        AnthropicBedrock(
            api_key=PREFIX + changed, aws_region="eu-west-1", base_url=user.runtime.url, max_retries=0
        ) as claude,
        pytest.raises(PermissionDeniedError),
    ):
        say(claude)


def test_credential_that_cannot_be_exported_is_an_error_without_a_traceback(user: User) -> None:
    user.configure(**user.double.settings())
    ran = user.freshkey("export", "work", "--format", "credential-process")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "freshkey login work" in ran.stderr
    assert "Traceback" not in ran.stderr
    asked = user.aws()
    assert asked.returncode != 0
    assert "freshkey login work" in asked.stderr


def test_sign_out_on_the_command_line(user: User) -> None:
    user.configure(**user.double.settings())
    assert user.freshkey("login", "work").returncode == 0
    assert json.loads(user.freshkey("status", "work", "--json").stdout)
    ended = user.freshkey("logout", "work")
    assert ended.returncode == 0, ended.stderr
    assert user.double.count("/logout") == 1
    assert user.freshkey("export", "work", "--format", "credential-process").returncode == 3


def test_device_code_in_a_terminal(user: User) -> None:
    user.configure(**user.double.settings(), sso_flow="device")
    with Typist([sys.executable, "-m", "freshkey", "login", "work"], os.environ) as typist:
        typist.read_until("enter the code ABCD-EFGH")
        follow(f"{user.double.url}/device?user_code=ABCD-EFGH")
        assert typist.end() == 0, typist.screen
    assert "if you started this sign-in yourself" in typist.screen
    exported = user.freshkey("export", "work", "--format", "credential-process")
    assert json.loads(exported.stdout)["AccessKeyId"] == user.runtime.issued[0]


def test_sign_in_command_of_another_tool_runs_when_credentials_are_needed(user: User) -> None:
    files = user.root / "aws-credentials"
    section = "[default]\\naws_access_key_id = AKIAREFRESHED\\naws_secret_access_key = canary-of-the-file\\n"
    program = user.program("sign-in", f"echo 'Open https://example.com/ABCD'; printf '{section}' > {files}")
    user.configure(auth_refresh=[program])
    exported = user.freshkey("export", "work", "--format", "credential-process")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["AccessKeyId"] == "AKIAREFRESHED"
    assert "Open https://example.com/ABCD" in exported.stderr


BROKEN = {
    "prints its secret to stderr": "echo canary-of-the-helper >&2; exit 1",
    "prints version 2": 'echo \'{"Version": 2, "SecretAccessKey": "canary-of-the-helper"}\'',
    "floods": "yes canary-of-the-helper",
    "hangs": "exec sleep 600",
}


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_broken_export_is_an_error_that_names_the_profile(user: User, script: str) -> None:
    program = user.program("print-keys", script)
    user.configure(credential_export=[program], credential_export_timeout=1)
    ran = user.freshkey("export", "work", "--format", "credential-process")
    assert (ran.returncode, ran.stdout) == (5, "")
    assert "work: " in ran.stderr
    assert "'print-keys'" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "canary" not in ran.stderr
