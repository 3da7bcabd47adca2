"""What errors are about stays readable: paths, URLs, error codes, regions, also after the word "token" (LEK-9)."""

from __future__ import annotations

import pytest

from freshkey._commands.environ import secret_values
from freshkey._text.harmless import is_harmless
from freshkey._text.redact import MASK, Redactor, redacted
from promises import proves


READABLE = """\
Could not fetch token: https://oauth2.googleapis.com/token returned 503
no credentials: AccessDenied403 for arn:aws:sts::123456789012:assumed-role/ops/i-0abc
token: invalid_grant_2026
credentials: /home/me/.aws/credentials2
token = /var/run/secrets/kubernetes.io/serviceaccount/token
secret: projects/123/secrets/foo/versions/1
session_token=expired, authorization=denied, token=tokens.json
Permission denied: ssh://git@github.com/org/repo.git
could not connect to postgres://user@db/x
An error occurred (ExpiredToken) when calling the GetCallerIdentity operation: The security token is expired
An error occurred (InvalidClientTokenId) when calling the AssumeRole operation
Unable to locate credentials. You can configure credentials by running "aws configure".
Error loading SSO Token: Token for https://acme.awsapps.com/start1 does not exist
Error when retrieving token from sso: Token has expired and refresh failed
The SSO session associated with this profile has expired, token=expired
Could not connect to the endpoint URL: "https://sts.us-east-1.amazonaws.com/"
File /Users/u4711/keys/gha-creds-1a2b3c.json was not found.
('invalid_grant: Token has been expired or revoked.', {'error': 'invalid_grant', 'code': 400})
Unable to acquire impersonated credentials: No access token or expiration2 in response
Failed to retrieve http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token
token_uri: https://oauth2.googleapis.com/token, token: https://sts.googleapis.com/v1/token
"token": "disabled"
{"token": "invalid_grant", "error_uri": "https://id.example.com/e/1"}
{"refresh_token": "TokenRevoked", "status": 401}
{"token": "https://id.example.com/realms/acme/protocol/openid-connect/token"}
credentials: com.amazonaws.auth.InstanceProfileCredentialsProvider
credential: arn:aws:iam::123456789012:role/Deploy2
cookie: disabled
api_key: eu-central-1
api_key=us-east-1
access_token = 3f2504e0-4f89-11d3-9a0c-0305e82c3301
token: C:\\Users\\ada\\AppData\\Local\\token1.json
credentials: ~/.config/gcloud/application_default_credentials2.json
password=required
password: incorrect
password: /run/secrets/db_password_1
request id: aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5hJ7k
x-amzn-RequestId=aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5hJ7k
secret_token=NoSuchKey
token: file:///var/run/token1
token: UNAUTHENTICATED
token: urn:ietf:params:oauth:token-type:access_token2
id_token: 2026-11-30T04:00:00Z
session_token: 3600s
credentials: deploy2@my-project.iam.gserviceaccount.com
client_secret=missing
authorization: negotiate
token=../keys/token.2
private_key=id_ed25519.pem""".splitlines()


@pytest.mark.parametrize("text", READABLE)
def test_what_an_error_is_about_stays(text: str) -> None:
    assert redacted(text) == text


def test_the_table_is_long_enough() -> None:
    assert len(READABLE) > 40


@proves("LEK-9")
@pytest.mark.parametrize(
    "text",
    [
        "token=kd83-Zx9_Qw8eRt7yUi6",
        "token: kd83Zx9Qw8eRt7yUi6",
        "api_key=ab12-cd34-ef56-gh78",
        "token=da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "token=/K7MDENGbPxRfiCYEXAMPLEKEYwJalr12aB3dE4f",
        "password=swordfish",
        "password: correct-horse-battery-9",
        "passphrase=correct-horse-battery-staple",
        "client_secret=swordfish",
        '"client_secret": "Summer2024"',
        '"password": "correct-horse"',
        '{"access_token": "abc"}',
        "token: https://x.example/?access_token=abcd1234efgh5678",
        "token: https://ada:hunter2@x.example/",
        "token: https://hooks.slack.com/services/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",
        "https://da39a3ee5e6b4b0d3255bfef95601890@github.com/x",
        "token=QwErTyUiOpAsDfGh",
        "token=token=token=kd83Zx9Qw8eRt7yUi6",
        "api_key=A1B2C-D3E4F-G5H6I-J7K8L",
    ],
)
def test_what_may_be_a_secret_is_still_removed(text: str) -> None:
    shown = redacted(text)
    assert MASK in shown
    assert text.rpartition("=")[2] not in shown


HARMLESS = {
    "GOOGLE_APPLICATION_CREDENTIALS": "/Users/u4711/keys/a.json",
    "GOOGLE_GHA_CREDS_KEY": "/home/ada/work/repo/gha-creds-1a2b3c4d5e6f7a8b.json",
    "DEFAULT_KEY_REGION": "us-east-1",
    "TOKEN_ISSUER": "https://accounts.google.com",
    "ENABLE_TOKEN_CACHE": "disabled",
    "CREDENTIALS_DIRECTORY": "/run/credentials/freshkey.service",
    "GPG_KEY": "A035C8C19219BA821ECEA86B64E628F8D684696D",
    "GPG_KEYS": "A035C8C19219BA821ECEA86B64E628F8D684696D 7169605F62C751356D054A26A821E680E5FA6305",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://pipelines.actions.githubusercontent.com/x/idtoken?api-version=2.0",
    "KEY_VAULT_NAME": "my-company-vault",
    "SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf",
    "KEY_ID": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "KEY_FOLDER": "C:\\Users\\ada\\keys",
    "CREDENTIALS_PROVIDER": "com.amazonaws.auth.InstanceProfileCredentialsProvider",
    "TOKEN_AUDIENCE": "sts.amazonaws.com",
    "TOKEN_EXPIRES": "2026-11-30T04:00:00Z",
    "SSH_KEYS": "../keys/id_rsa",
    "TOKEN_ENDPOINT": "http://169.254.169.254/metadata/identity/oauth2/token",
    "KEYS_OWNER": "deploy@my-project.iam.gserviceaccount.com",
}
SECRET = {
    "DB_PASSWORD": "swordfish",
    "API_KEY": "kd83Zx9Qw8eRt7yUi6",
    "AWS_SECRET_ACCESS_KEY": "/K7MDENGbPxRfiCYEXAMPLEKEYwJalr12aB3dE4f",
    "OLD_TOKEN": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "UPPER_TOKEN": "A035C8C19219BA821ECEA86B64E628F8D684696D",
    "DATABASE_URL": "postgres://me:hunter2x@db/x",
    "A_SECRET": "Summer2024x",
    "WEBHOOK_TOKEN": "https://hooks.slack.com/services/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",
    "VAULT_PASSPHRASE": "correct horse battery staple",
    "WIFI_PASS": "correct-horse-battery-staple",
    "EXAMPLE_API_KEY": "ek-qwertzuiop-1234567890",
    "LICENSE_KEY": "A1B2C-D3E4F-G5H6I-J7K8L",
    "PIN_TOKEN": "83927465123",
    "FRESHKEY_PASSPHRASE": "swordfish",
}


@proves("LEK-9")
@pytest.mark.parametrize("name", HARMLESS)
def test_a_variable_that_only_sounds_secret_is_shown_whole_and_in_part(name: str) -> None:
    value = HARMLESS[name]
    assert is_harmless(name, value)
    redact = Redactor(secret_values({name: value}))
    for text in (f"cannot read {value}: no such file", f"from {value[:12]} to {value[-12:]}", value[4:]):
        assert redact(text) == text.replace("\n", " ")


@pytest.mark.parametrize("name", SECRET)
def test_a_variable_that_may_be_secret_is_not_shown(name: str) -> None:
    assert secret_values({name: SECRET[name]}) == [SECRET[name]]


@pytest.mark.parametrize("value", ["a/" * 60_000, "A0" * 60_000, "a-" * 60_000, "https://" * 9_000, "arn:aws:" * 9_000])
def test_a_long_value_is_no_path_and_no_word(value: str) -> None:
    assert not is_harmless("KEY", value)
