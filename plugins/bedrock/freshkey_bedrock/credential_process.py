"""``credential_process`` of AWS's tools: the JSON that such a program prints, read and written, and how one is run.

The JSON is read in two shapes and written in the flat one. Flat is what ``credential_process`` prints and ``aws
configure export-credentials`` writes; wrapped is what STS answers and ``aws sts assume-role`` prints. Source:
botocore's ``ProcessProvider``; AWS SDKs reference guide, "Process credential provider".
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from freshkey.errors import ConfigurationError, ProtocolError, frameless
from freshkey.plugin import Credential, Secret, is_token, parse_json_object, run_helper
from freshkey_bedrock.aws_keys import AwsKeys
from freshkey_bedrock.formats import AwsCredential


VERSION: Final = 1

_MARGIN: Final = 2.0
"""Seconds, at most half of the rest, that are left when a process is ended, so that the error names it."""


@frameless
def read_credentials(output: Secret, program: str) -> AwsKeys:
    """Return the credentials in what a program printed.

    Args:
        output: What it printed.
        program: How to call it in an error.

    Raises:
        ProtocolError: They are not there in either shape. The message never quotes the output.
    """
    found = _read(output)
    if isinstance(found, AwsKeys):
        return found
    hint = 'It prints {"Version": 1, "AccessKeyId": …}, or {"Credentials": {"AccessKeyId": …}} as STS answers'
    raise ProtocolError(f"{program} printed {found}", hint=hint)


def write_credentials(credential: Credential) -> str:
    """Return AWS credentials as ``credential_process`` prints them.

    Raises:
        ConfigurationError: It is an API key, which AWS's SDKs take from elsewhere.
    """
    if not isinstance(credential, AwsCredential):
        raise ConfigurationError(
            "a Bedrock API key is no AWS credential, and credential_process cannot hand it over",
            hint="Hand it over as AWS_BEARER_TOKEN_BEDROCK: freshkey exec does",
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
    """Return the credentials, or what is wrong; raised elsewhere, so that no traceback shows them."""
    try:
        facts = parse_json_object(output.reveal().encode("utf-8", "surrogatepass"))
    except ProtocolError:
        return "no JSON object"
    if "Credentials" in facts:
        wrapped = facts["Credentials"]
        return _members(wrapped) if isinstance(wrapped, dict) else "Credentials that are no object"
    version = facts.get("Version")
    if type(version) is not int:  # True equals 1 and is something else
        return "an object without Credentials and without a Version"
    return _members(facts) if version == VERSION else f"credentials of Version {version}; only {VERSION} is known"


def _members(facts: Mapping[str, Any]) -> AwsKeys | str:
    texts: dict[str, str | None] = {}
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "AccountId"):
        value = facts.get(name)
        if value in (None, ""):
            texts[name] = None
        elif is_token(value):
            texts[name] = value
        else:
            return f"no readable {name}"
    access_key, secret_key, token = texts["AccessKeyId"], texts["SecretAccessKey"], texts["SessionToken"]
    if access_key is None or secret_key is None:
        return "no AccessKeyId or no SecretAccessKey"
    expires_at = _moment(facts.get("Expiration"))
    if isinstance(expires_at, str):
        return expires_at
    return AwsKeys(
        access_key_id=access_key,
        secret_access_key=Secret(secret_key),
        session_token=Secret(token) if token else None,
        expires_at=expires_at,
        account_id=texts["AccountId"],
    )


def _moment(value: object) -> datetime | str | None:
    """Return a time of ISO 8601, or what is wrong with it; one without an offset could mean any hour of a day."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    return moment if moment is not None and moment.tzinfo is not None else "an Expiration that is no time of ISO 8601"


# --- one is run -------------------------------------------------------------------------------------------------------


class CredentialProcess:
    """Stands in for ``subprocess.Popen`` in botocore, as far as botocore uses it.

    Args:
        argv: The program and its arguments.
        ends: When the look-up as a whole has to be over, by `time.monotonic`.
        asker: Name of freshkey's profile that the credentials are for.
    """

    def __init__(self, argv: Sequence[str], ends: float, asker: str) -> None:
        self._argv = argv
        self._ends = ends
        self._asker = asker
        self.returncode = 0

    def communicate(self) -> tuple[bytes, bytes]:
        """Run it and return what it printed.

        It sees the whole environment, as it does when AWS's tools start it.

        Raises:
            ConfigurationError: There is no such program, or it would ask for what is being looked for here.
            TransientError: It failed or took too long.
            ProtocolError: It printed too much, or something else than credentials.
        """
        if not self._argv:
            raise ConfigurationError("credential_process names no program")
        if _is_export_of(self._asker, self._argv):
            # Each would wait for the other until time is up.
            raise ConfigurationError(
                f"the credential_process of AWS's tools asks freshkey for {self._asker!r}, which asks AWS's tools",
                hint=f"Say where {self._asker!r} gets its credentials from: set source or aws_profile",
            )
        left = max(self._ends - time.monotonic(), 0.0)
        printed = run_helper(self._argv, timeout=left - min(_MARGIN, left / 2), environ=dict(os.environ))
        read_credentials(printed, f"the credential process {Path(self._argv[0]).name!r}")
        return printed.reveal().encode(), b""


def _is_export_of(profile: str, argv: Sequence[str]) -> bool:
    """Tell whether a command line is ``freshkey export`` of a profile, as ``~/.aws/config`` may name it."""
    return "freshkey" in {Path(word).stem for word in argv[:3]} and "export" in argv and profile in argv
