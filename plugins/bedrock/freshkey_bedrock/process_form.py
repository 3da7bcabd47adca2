"""The JSON in which AWS's tools hand credentials to each other: read in both shapes, written in the flat one.

Flat is what ``credential_process`` prints and ``aws configure export-credentials`` writes; wrapped is what STS answers
and ``aws sts assume-role`` prints. Source: botocore's ``ProcessProvider``; AWS SDKs reference guide, "Process
credential provider".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import frozen

from freshkey.errors import ConfigurationError, ProtocolError, frameless
from freshkey.plugin import Credential, Secret, parse_json_object
from freshkey_bedrock.formats import AwsCredential


VERSION: Final = 1


@frozen(kw_only=True)
class Handed:
    """Credentials that a program handed over.

    Attributes:
        access_key_id: Names the key.
        secret_access_key: Signs.
        session_token: Comes with temporary credentials.
        expires: Their end, aware; None where the program says none.
        account_id: Whose they are, where the program says so.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None
    expires: datetime | None
    account_id: str | None


@frameless
def read(output: Secret, program: str) -> Handed:
    """Return the credentials in what a program printed.

    Args:
        output: What it printed.
        program: How to call it in an error.

    Raises:
        ProtocolError: They are not there in either shape. The message never quotes the output.
    """
    found = _read(output)
    if isinstance(found, Handed):
        return found
    hint = 'It prints {"Version": 1, "AccessKeyId": …}, or {"Credentials": {"AccessKeyId": …}} as STS answers'
    raise ProtocolError(f"{program} printed {found}", hint=hint)


def write(credential: Credential) -> str:
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


def _read(output: Secret) -> Handed | str:
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


def _members(facts: Mapping[str, Any]) -> Handed | str:
    texts: dict[str, str | None] = {}
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "AccountId"):
        value = facts.get(name)
        if value in (None, ""):
            texts[name] = None
        elif isinstance(value, str) and all("!" <= character <= "~" for character in value):
            texts[name] = value
        else:
            return f"no readable {name}"
    access_key, secret_key, token = texts["AccessKeyId"], texts["SecretAccessKey"], texts["SessionToken"]
    if access_key is None or secret_key is None:
        return "no AccessKeyId or no SecretAccessKey"
    expires = _moment(facts.get("Expiration"))
    if isinstance(expires, str):
        return expires
    return Handed(
        access_key_id=access_key,
        secret_access_key=Secret(secret_key),
        session_token=Secret(token) if token else None,
        expires=expires,
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
