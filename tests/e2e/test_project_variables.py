"""A project's ``.env``: what its variables name inside the project neither runs nor sends anything (TRU-13)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from attrs import frozen

from freshkey._trust.project_files import trust_file
from loopback_server import Exchange, LoopbackServer
from runnable import runnable


HOME = "USERPROFILE" if sys.platform == "win32" else "HOME"


@frozen
class Checkout:
    """A hostile checkout, and the user's own directories beside it."""

    root: Path
    mine: Path

    @property
    def ran(self) -> Path:
        """Written by any program of the project that runs."""
        return self.mine / "ran"

    @property
    def program(self) -> Path:
        """Where `helper` is by default."""
        return self.root / ("helper.cmd" if sys.platform == "win32" else "helper")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return path

    def helper(self, name: str = "helper") -> Path:
        """A program of the project that prints AWS credentials."""
        answer = json.dumps({"Version": 1, "AccessKeyId": "AKIAPROJECT", "SecretAccessKey": "project"})
        return runnable(self.root / name, f"open({str(self.ran)!r}, 'w').close()\nprint({answer!r})")

    def freshkey(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = ("PATH", "PYTHONPATH", "LANG", "SYSTEMROOT", "COMSPEC", "PATHEXT", "TEMP", "TMP")
        own = {
            HOME: str(self.mine),
            "FRESHKEY_CONFIG_DIR": str(self.mine / "config"),
            "FRESHKEY_STATE_DIR": str(self.mine / "state"),
            "AWS_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return subprocess.run(
            [sys.executable, "-m", "freshkey", *arguments],
            env={**{name: os.environ[name] for name in kept if name in os.environ}, **own, **variables},
            cwd=self.root / "src",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root, mine = tmp_path / "checkout", tmp_path / "mine"
    (root / ".git").mkdir(parents=True)
    (root / "src").mkdir()
    (mine / "config").mkdir(parents=True, mode=0o700)
    return Checkout(root, mine)


def aws_config(checkout: Checkout) -> tuple[str, dict[str, str], Path]:
    file = checkout.write("aws", f"[default]\ncredential_process = {checkout.helper()}\n")
    return "bedrock", {"AWS_CONFIG_FILE": str(file)}, file


def aws_config_by_relative_path(checkout: Checkout) -> tuple[str, dict[str, str], Path]:
    provider, _, file = aws_config(checkout)
    return provider, {"AWS_CONFIG_FILE": "../aws"}, file


def aws_config_through_a_link(checkout: Checkout) -> tuple[str, dict[str, str], Path]:
    provider, _, file = aws_config(checkout)
    link = checkout.mine / "innocent"
    link.symlink_to(checkout.root)
    return provider, {"AWS_CONFIG_FILE": str(link / "aws")}, file


def aws_credentials(checkout: Checkout) -> tuple[str, dict[str, str], Path]:
    file = checkout.write("keys", "[default]\naws_access_key_id = AKIAPROJECT\naws_secret_access_key = project\n")
    return "bedrock", {"AWS_SHARED_CREDENTIALS_FILE": str(file)}, file


def configuration(checkout: Checkout, folder: str) -> Path:
    command = json.dumps([str(checkout.helper())])
    text = f'[profiles.me]\nprovider = "bedrock"\nregion = "eu-west-1"\ncredential_export = {command}\n'
    file = checkout.write(f"{folder}/config.toml", text)
    file.parent.chmod(0o700)
    return file


def own_configuration(checkout: Checkout) -> tuple[str, dict[str, str], Path]:
    file = configuration(checkout, "conf")
    return "me", {"FRESHKEY_CONFIG_DIR": str(file.parent)}, file


def own_configuration_by_usual_place(checkout: Checkout) -> tuple[str, dict[str, str], Path]:
    variable = "WIN_PD_OVERRIDE_LOCAL_APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME"
    file = configuration(checkout, "usual/freshkey")
    return "me", {variable: str(checkout.root / "usual"), "FRESHKEY_CONFIG_DIR": ""}, file


with_links = pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
NAMED = [
    *(aws_config, aws_config_by_relative_path, pytest.param(aws_config_through_a_link, marks=with_links)),
    *(aws_credentials, own_configuration, own_configuration_by_usual_place),
]


@pytest.mark.parametrize("named", NAMED)
def test_file_of_the_project_is_used_only_once_it_is_trusted(
    checkout: Checkout, named: Callable[[Checkout], tuple[str, dict[str, str], Path]]
) -> None:
    """TRU-13: no program runs and no identity is taken before; the file and its program are each trusted once."""
    profile, variables, file = named(checkout)
    done = checkout.freshkey("export", profile, "--format", "credential-process", **variables)
    assert (done.returncode, done.stdout) == (6, ""), done.stderr
    assert "project-file-not-trusted" in done.stderr
    assert not checkout.ran.exists()
    trust_file(checkout.mine / "state", file)
    helper = checkout.program
    if helper.exists():
        done = checkout.freshkey("export", profile, "--format", "credential-process", **variables)
        assert (done.returncode, done.stdout) == (6, ""), done.stderr
        assert "project-file-not-trusted" in done.stderr
        assert f"{helper}, named by the command '{helper.name}'" in done.stderr
        assert f"freshkey trust {helper}" in done.stderr
        assert not checkout.ran.exists()
        trust_file(checkout.mine / "state", helper)
    done = checkout.freshkey("export", profile, "--format", "credential-process", **variables)
    assert done.returncode == 0, done.stderr
    assert "AKIAPROJECT" in done.stdout
    if helper.exists():
        checkout.ran.unlink()
        before = helper.read_text()
        helper.write_text(before + "# changed\n")
        done = checkout.freshkey("export", profile, "--format", "credential-process", **variables)
        assert (done.returncode, done.stdout) == (6, ""), done.stderr
        assert "project-file-changed" in done.stderr
        assert not checkout.ran.exists()
        helper.write_text(before)
    file.write_text(file.read_text() + "\n# changed\n")
    done = checkout.freshkey("export", profile, "--format", "credential-process", **variables)
    assert done.returncode == 6
    assert "project-file-changed" in done.stderr


def test_home_in_the_project_does_not_make_it_the_users(checkout: Checkout) -> None:
    """TRU-13: without a variable for the file, that of the home directory decides where it is."""
    checkout.write("home/.aws/config", f"[default]\ncredential_process = {checkout.helper()}\n")
    done = checkout.freshkey("token", "bedrock", **{HOME: str(checkout.root / "home")})
    assert done.returncode == 6, done.stderr
    assert f"named by {HOME}, is in the current project" in done.stderr
    assert not checkout.ran.exists()


def test_state_directory_in_the_project_is_refused(checkout: Checkout) -> None:
    """TRU-13: it could contain the answers that the user never gave."""
    _, variables, file = aws_config(checkout)
    state = checkout.root / "state"
    trust_file(state, file)
    done = checkout.freshkey("token", "bedrock", FRESHKEY_STATE_DIR=str(state), **variables)
    assert done.returncode == 6
    assert "state-directory-in-project" in done.stderr
    assert not checkout.ran.exists()


@pytest.mark.parametrize("entry", ["", ".", "bin", str(Path("{root}", "src", "bin"))])
def test_program_of_the_project_is_not_found_on_the_path(checkout: Checkout, entry: str) -> None:
    """TRU-13: the user's own configuration names a program without a path."""
    for place in ("src/helper", "src/bin/helper"):
        checkout.helper(place)
    config = checkout.mine / ".aws" / "config"
    config.parent.mkdir()
    config.write_text("[default]\ncredential_process = helper\n")
    path = os.pathsep.join([entry.format(root=checkout.root), os.environ["PATH"]])
    done = checkout.freshkey("token", "bedrock", PATH=path)
    assert done.returncode == 6, done.stderr
    assert "command-not-runnable" in done.stderr
    assert not checkout.ran.exists()


class Collector(LoopbackServer):
    """Keeps what is sent to it."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[bytes] = []

    def serve(self, exchange: Exchange) -> None:
        self.bodies.append(exchange.body())
        exchange.answer(200, b'{"access_token": "x", "expires_in": 3600, "token_type": "Bearer"}')


PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC-canary\n-----END PRIVATE KEY-----\n"


def external_account(server: Collector, secret: Path, **more: str) -> str:
    return json.dumps(
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{server.url}/token",
            "credential_source": {"file": str(secret)},
            **more,
        }
    )


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("kind", ["jwt", "id_token", "saml2", "access_token"])
def test_credentials_file_of_the_project_does_not_send_a_private_key(
    checkout: Checkout, trusted: bool, kind: str
) -> None:
    """TRU-13: not even if the user trusts the file, because the key is not an identity token."""
    secret = checkout.mine / "id_rsa"
    secret.write_text(PEM)
    with Collector() as server:
        kinds = {"subject_token_type": f"urn:ietf:params:oauth:token-type:{kind}"}
        file = checkout.write("adc.json", external_account(server, secret, **kinds))
        if trusted:
            trust_file(checkout.mine / "state", file)
        variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "GOOGLE_CLOUD_PROJECT": "demo"}
        done = checkout.freshkey("token", "vertex", "--set", "allow_insecure_loopback=true", **variables)
        assert done.returncode == 6, done.stderr
        assert server.bodies == []
    assert ("project-file-not-trusted" in done.stderr) is not trusted
    assert "canary" not in done.stderr + done.stdout


def anthropic(checkout: Checkout, base_url: str) -> Mapping[str, str]:
    config = {
        "base_url": base_url,
        "authentication": {"type": "user_oauth", "client_id": "x", "credentials_path": str(checkout.mine / "creds")},
    }
    (checkout.mine / "creds").write_text(json.dumps({"access_token": "canary-token", "refresh_token": "canary-r"}))
    (checkout.mine / "creds").chmod(0o600)
    checkout.write("anthropic/configs/default.json", json.dumps(config))
    return {"ANTHROPIC_CONFIG_DIR": str(checkout.root / "anthropic")}


def test_anthropic_profile_of_the_project_does_not_send_the_users_token(checkout: Checkout) -> None:
    """TRU-13: its base_url would get the refresh token in the user's own file."""
    with Collector() as server:
        variables = anthropic(checkout, server.url)
        done = checkout.freshkey("token", "claude_oauth", "--set", "allow_insecure_loopback=true", **variables)
        assert server.bodies == []
    assert done.returncode == 6, done.stderr
    assert "project-file-not-trusted" in done.stderr
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("variable", ["ANTHROPIC_IDENTITY_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_private_key_in_the_place_of_an_identity_token_is_not_sent(checkout: Checkout, variable: str) -> None:
    """TRU-13: whatever such a variable names must look like a JSON Web Token."""
    secret = checkout.mine / "id_rsa"
    secret.write_text("canary-one-line-secret-0123456789")
    with Collector() as server:
        rule = {"ANTHROPIC_FEDERATION_RULE_ID": "fdrl_x", "ANTHROPIC_ORGANIZATION_ID": "o"}
        role = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_ENDPOINT_URL_STS": server.url}
        more = {**rule, **role, "ANTHROPIC_BASE_URL": server.url, variable: str(secret)}
        provider = "claude_oauth" if variable.startswith("ANTHROPIC") else "bedrock"
        done = checkout.freshkey("token", provider, "--set", "allow_insecure_loopback=true", **more)
        assert server.bodies == []
    assert done.returncode == 6, done.stderr
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"])
def test_sts_is_asked_over_https_only(checkout: Checkout, variable: str) -> None:
    """TRU-13: an identity token is not sent in clear, whoever named the endpoint."""
    token = checkout.mine / "token"
    token.write_text("eyJhbGciOiJSUzI1NiJ9.canary.c2ln")
    role = {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    done = checkout.freshkey("token", "bedrock", **role, **{variable: "http://sts.invalid"})
    assert done.returncode == 6, done.stderr
    assert "invalid-url" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows starts no scripts by their first line")
@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="the shell that reads BASH_ENV")
@pytest.mark.parametrize("marker", [".hg", ".env", "Makefile"])
def test_shell_of_the_user_s_own_helper_runs_no_code_of_the_project(checkout: Checkout, marker: str) -> None:
    """TRU-13: whatever marks the project, from a directory below its root."""
    (checkout.root / ".git").rename(checkout.root / marker)
    own = checkout.mine / "own"
    answer = {"Version": 1, "AccessKeyId": "AKIAMINE", "SecretAccessKey": "mine"}
    own.write_text(f"#!/bin/bash\ntouch {checkout.mine}/own-ran\necho '{json.dumps(answer)}'\n")
    own.chmod(0o700)
    config = checkout.mine / "aws"
    config.write_text(f"[default]\ncredential_process = {own}\n")
    evil = checkout.write("evil.sh", f"touch {checkout.ran}\n")
    checkout.freshkey("token", "bedrock", AWS_CONFIG_FILE=str(config), BASH_ENV=str(evil))
    assert (checkout.mine / "own-ran").exists()
    assert not checkout.ran.exists()


def test_certificate_authorities_of_the_project_are_refused(checkout: Checkout) -> None:
    """TRU-13: also as the second of two directories."""
    directories = os.pathsep.join([str(checkout.mine), str(checkout.root)])
    done = checkout.freshkey("token", "bedrock", SSL_CERT_DIR=directories)
    assert done.returncode == 6, done.stderr
    assert "project-file-not-trusted" in done.stderr
    assert "SSL_CERT_DIR" in done.stderr


def test_explain_names_every_variable_that_moved_something(checkout: Checkout) -> None:
    """TRU-13: by name, and the value only where it can be shown."""
    _, variables, file = aws_config(checkout)
    variables |= {
        "AWS_ENDPOINT_URL_STS": "https://user:canary@sts.example:8443/x?canary#canary",
        "HTTPS_PROXY": "http://user:canary@proxy.example:3128",
        "AWS_CA_BUNDLE": PEM,
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/r",
        "PATH": os.pathsep.join([str(checkout.root / "bin"), os.environ["PATH"]]),
    }
    for options, shown in (([], str(file)), (["--json"], json.dumps(str(file)))):
        done = checkout.freshkey("explain", "bedrock", *options, **variables)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        assert [name for name in (*variables, "FRESHKEY_CONFIG_DIR") if name not in said] == []
        assert all(text in said for text in (shown, "https://sts.example:8443/x", "http://proxy.example:3128"))
        assert "canary" not in said
    listed = {one["name"]: one for one in json.loads(done.stdout)["variables"]}
    assert listed["AWS_CONFIG_FILE"]["in_project"] is True
    assert listed["FRESHKEY_CONFIG_DIR"]["in_project"] is False
    assert listed["AWS_CA_BUNDLE"]["value"] is None
