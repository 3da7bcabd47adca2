"""The two kinds of credential: environment of child processes, storage, and lazy loading of botocore."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime

from freshkey._stores.records.codec import Codec
from freshkey.clock import SYSTEM
from freshkey.secret import Secret
from freshkey_bedrock.description import VARIABLES, description
from freshkey_bedrock.formats import AwsCredential, BedrockApiKey
from freshkey_testing.secret_scan import assert_no_secret, secrets_of


REGION = "eu-west-1"


def credential(token: str | None = "made-up-session-token", secret: str = "made-up-secret-key") -> AwsCredential:
    return AwsCredential(
        obtained=SYSTEM.now(),
        access_key_id="ASIAMADEUP",
        secret_access_key=Secret(secret),
        session_token=Secret(token) if token else None,
        region=REGION,
    )


def test_environment_has_the_variables_of_the_aws_sdks() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "ASIAMADEUP", "AWS_SECRET_ACCESS_KEY": "made-up-secret-key"}
    region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
    assert credential().environment() == keys | region | {"AWS_SESSION_TOKEN": "made-up-session-token"}
    assert credential(token=None).environment() == keys | region
    assert set(credential().environment()) - set(region) <= set(VARIABLES)


def test_variables_of_other_aws_credentials_are_removed() -> None:
    assert description(None).variables == VARIABLES
    assert {
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    } <= set(VARIABLES)


def test_botocore_in_a_child_process_uses_the_credentials() -> None:
    import botocore.session

    program = (
        "import botocore.session, json; s = botocore.session.Session();"
        "c = s.get_credentials().get_frozen_credentials();"
        "print(json.dumps([c.access_key, c.secret_key, c.token, s.get_config_variable('region')]))"
    )
    environment = {"PATH": "", "HOME": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true", **credential().environment()}
    if sys.platform == "win32":  # without it, there are no sockets
        environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == ["ASIAMADEUP", "made-up-secret-key", "made-up-session-token", REGION]
    assert botocore.session is not None


def test_authorizes_like_ignores_when_a_key_was_found() -> None:
    earlier, later = credential(), credential()
    assert earlier != later
    assert earlier.authorizes_like(later)
    assert not earlier.authorizes_like(credential(token="another-session-token"))
    assert not earlier.authorizes_like(credential(token=None))
    assert not earlier.authorizes_like(credential(secret="another-secret-key"))
    assert not earlier.authorizes_like(BedrockApiKey(obtained=SYSTEM.now(), key=Secret("made-up-secret-key")))


def test_aws_credential_has_no_token_and_no_renewal_secret() -> None:
    assert credential().token is None
    assert not credential().renewable
    assert credential().renewal_secret is None


def test_both_formats_survive_encoding() -> None:
    codec = Codec(description(None).formats)
    kept = [credential(), credential(token=None)]
    for held in [*kept, BedrockApiKey(obtained=SYSTEM.now(), key=Secret("made-up-key"), region=REGION, lifetime=60.0)]:
        assert codec.decode(codec.encode(held)) == held


def test_repr_shows_no_secret() -> None:
    for held in (credential(), BedrockApiKey(obtained=SYSTEM.now(), key=Secret("made-up-api-key"))):
        assert_no_secret(f"{held!r} {held} {vars(type(held))}", secrets_of(held), "the repr")


LOADED = """
import json, sys, threading
from freshkey.clock import SYSTEM
from freshkey.secret import Secret
from freshkey_bedrock.formats import AwsCredential
before = "botocore" in sys.modules
made = []
def renew():
    keys = {"access_key_id": "A", "secret_access_key": Secret("s"), "region": "eu-west-1"}
    made.append(AwsCredential(obtained=SYSTEM.now(), **keys))
thread = threading.Thread(target=renew)
thread.start()
thread.join()
known = set(sys.modules)
made[0].headers("POST", "https://bedrock-runtime.eu-west-1.amazonaws.com/", b"")
print(json.dumps([before, sorted(name for name in set(sys.modules) - known if not name.startswith("freshkey"))]))
"""


def test_botocore_is_loaded_on_construction_and_not_when_signing() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=60)
    before, loaded_while_signing = json.loads(done.stdout)
    assert before is False
    assert loaded_while_signing == []


def test_threads_can_sign_concurrently() -> None:
    signer = credential()
    urls = [f"https://bedrock-runtime.eu-west-1.amazonaws.com/model/m{number}/invoke" for number in range(16)]
    alone = [signer.headers("POST", url, b"{}")["Authorization"].split("Signature=")[0] for url in urls]
    together: dict[str, str] = {}

    def sign(url: str) -> None:
        for _ in range(20):
            together[url] = signer.headers("POST", url, b"{}")["Authorization"]

    threads = [threading.Thread(target=sign, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(together.values())) == len(urls)
    assert [together[url].split("Signature=")[0] for url in urls] == alone


def test_signature_date_is_the_current_time() -> None:
    stamp = credential().headers("GET", "https://example.amazonaws.com/", b"")["X-Amz-Date"]
    signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - signed_at).total_seconds()) < 60
