"""The ``credential_process`` protocol of AWS: reads and writes its JSON, and runs such a program.

Two shapes of JSON are read; the flat one is written. Flat is what ``credential_process`` and ``aws configure
export-credentials`` print; wrapped is what STS returns and ``aws sts assume-role`` prints. Source: botocore's
``ProcessProvider``; AWS SDKs reference guide, "Process credential provider".
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from freshkey.errors import ConfigurationError, LoginRequired, ProtocolError, frameless
from freshkey.plugin import (
    Command,
    Credential,
    Profile,
    Secret,
    is_token,
    parse_json_object,
    path_flaw,
    run_command,
    without_project_path,
)
from freshkey_bedrock.aws_keys import AwsKeys
from freshkey_bedrock.deadline import ends_by_itself
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.paths import wrong_path
from freshkey_bedrock.shared_config import config_file, credentials_file
from freshkey_bedrock.stated_end import stated_end


VERSION: Final = 1


@frameless
def read_credentials(output: Secret, program: str) -> AwsKeys:
    """Parse the credentials that a program printed.

    Args:
        output: What it printed.
        program: How to refer to the program in an error.

    Raises:
        ProtocolError: The output has neither shape. The message never quotes the output.
    """
    found = _read(output)
    if isinstance(found, AwsKeys):
        return found
    hint = 'Make it print {"Version": 1, "AccessKeyId": …}, or {"Credentials": {"AccessKeyId": …}} as STS does'
    raise ProtocolError(f"{program} printed {found}", hint=hint, code="invalid-command-output")


def refuse_expired(keys: AwsKeys, program: str, now: float) -> None:
    """Raise if a program printed credentials that had already expired: only its own tool can renew them.

    Args:
        keys: What it printed.
        program: How to refer to the program in the error.
        now: Seconds since 1970-01-01T00:00:00Z.

    Raises:
        LoginRequired: They have expired.
    """
    if keys.expires_at is not None and keys.expires_at.timestamp() <= now:
        raise LoginRequired(
            f"{program} printed credentials that expired at {keys.expires_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            hint="Run the command yourself, and sign in with the tool that it uses; check this machine's clock",
            code="command-output-expired",
        )


def write_credentials(_profile: Profile, credential: Credential) -> str:
    """Return AWS credentials in the JSON of ``credential_process``.

    Raises:
        ConfigurationError: It is an API key, which this format cannot hold.
    """
    if not isinstance(credential, AwsCredential):
        raise ConfigurationError(
            "credential_process needs AWS credentials, but the credential is a Bedrock API key",
            hint="Use freshkey exec, which sets AWS_BEARER_TOKEN_BEDROCK",
            code="bedrock-api-key-not-supported",
        )
    members = {
        "Version": VERSION,
        "AccessKeyId": credential.access_key_id,
        "SecretAccessKey": credential.secret_access_key.reveal(),
    }
    if credential.session_token is not None:
        members["SessionToken"] = credential.session_token.reveal()
    if credential.expires_at is not None:
        members["Expiration"] = f"{credential.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    return json.dumps(members)


def _read(output: Secret) -> AwsKeys | str:
    """Return the credentials, or what is wrong; the caller raises, so that no traceback contains them."""
    try:
        facts = parse_json_object(_unmarked(output).encode("utf-8", "surrogatepass"))
    except ProtocolError:
        return "something other than a JSON object"
    if "Credentials" in facts:
        wrapped = facts["Credentials"]
        return _members({**facts, **wrapped}) if isinstance(wrapped, dict) else "Credentials that are not an object"
    version = facts.get("Version")
    if type(version) is not int:  # True == 1, but true is not a version
        return "an object with neither Credentials nor a Version"
    return _members(facts) if version == VERSION else f"credentials of Version {version}; only {VERSION} is supported"


def _members(facts: Mapping[str, Any]) -> AwsKeys | str:
    texts: dict[str, str | None] = {}
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "AccountId"):
        value = facts.get(name)
        if value in (None, ""):
            texts[name] = None
        elif is_token(value):
            texts[name] = value
        else:
            return f"an invalid {name}"
    access_key, secret_key, token = texts["AccessKeyId"], texts["SecretAccessKey"], texts["SessionToken"]
    if access_key is None or secret_key is None:
        return "no AccessKeyId or SecretAccessKey"
    expires_at = _end(facts)
    if isinstance(expires_at, str):
        return expires_at
    return AwsKeys(
        access_key_id=access_key,
        secret_access_key=Secret(secret_key),
        session_token=Secret(token) if token else None,
        expires_at=expires_at,
        account_id=texts["AccountId"],
    )


def _unmarked(output: Secret) -> str:
    """Return what a program printed without a byte order mark, which shells of Windows put first."""
    return output.reveal().removeprefix("\ufeff")


def _end(facts: Mapping[str, Any]) -> datetime | str | None:
    """Return when the credentials expire; under another name than ``Expiration`` it is an upper bound."""
    if facts.get("Expiration") is not None:
        return _moment(facts["Expiration"])
    end = stated_end(facts)
    return end.at if end else None


def _moment(value: object) -> datetime | str | None:
    """Parse an ISO 8601 time, or return what is wrong; without a UTC offset it would be ambiguous."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        return "an Expiration that is not an ISO 8601 time with a UTC offset"
    return moment


# --- running one ------------------------------------------------------------------------------------------------------


class CredentialProcess:
    """Replaces ``subprocess.Popen`` in botocore; has only the methods that botocore calls.

    Args:
        argv: The program and its arguments.
        ends: Deadline of the whole lookup, as a `time.monotonic` value.
        asker: The freshkey profile that needs the credentials.
        now: Time of the lookup, in seconds since 1970-01-01T00:00:00Z.
    """

    def __init__(self, argv: Sequence[str], ends: float, asker: Profile, now: float) -> None:
        self._argv = argv
        self._ends = ends
        self._now = now
        self._asker = asker
        self.returncode = 0

    def communicate(self) -> tuple[bytes, bytes]:
        """Run it and return what it printed.

        It gets the whole environment, as it does when the AWS CLI runs it.

        Raises:
            ConfigurationError: There is no such program, or it would call freshkey for this same profile.
            TrustNeeded: It names a file of the current project that the user has not trusted in its current form.
            LoginRequired: It printed credentials that have expired.
            TransientError: It failed or took too long.
            ProtocolError: It printed too much, or something other than credentials.
        """
        if not self._argv:
            raise ConfigurationError(
                "credential_process is empty in the AWS config",
                hint="Set it to the command that prints credentials",
                code="bedrock-invalid-aws-config",
            )
        flaw = path_flaw(self._argv[0])
        if flaw is not None and not os.path.lexists(self._argv[0]):
            raise wrong_path("credential_process of the AWS profile", flaw)
        asker = self._asker.name
        if _is_export_of(asker, self._argv):
            # Each would wait for the other until the deadline.
            raise ConfigurationError(
                f"credential_process loop: the AWS config runs freshkey for the same profile {asker!r}",
                hint=f"Set source or aws_profile under [profiles.{asker}] to get credentials from another source",
                code="bedrock-credential-process-loop",
            )
        left = max(self._ends - time.monotonic(), 0.0)
        sources = (config_file(), credentials_file())
        command = Command(argv=tuple(self._argv), ensure_own=self._asker.ensure_own, sources=sources)
        environ = without_project_path(os.environ)
        with ends_by_itself():
            printed = run_command(command, timeout=left, environ=environ)
        program = f"the credential process {Path(self._argv[0]).name!r}"
        keys = read_credentials(printed, program)
        # botocore would not say which program it was.
        refuse_expired(keys, program, self._now)
        facts = parse_json_object(_unmarked(printed).encode())
        if keys.expires_at is not None and "Credentials" not in facts:
            # botocore reads the end under this name only.
            facts["Expiration"] = keys.expires_at.isoformat()
        return json.dumps(facts).encode(), b""


def _is_export_of(profile: str, argv: Sequence[str]) -> bool:
    """Return whether a command line, as in ``~/.aws/config``, is ``freshkey export`` of a profile."""
    # Lowercase, because Windows also finds FRESHKEY.EXE.
    return "freshkey" in {Path(word).stem.lower() for word in argv[:3]} and "export" in argv and profile in argv
