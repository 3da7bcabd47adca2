"""No text shows a secret, and the detector that all tests rely on finds secrets in every encoding.

freshkey does not redact text, because the text of a `Secret` never contains the secret. So these tests check that no
text depends on the secret, and that `leaks` would find one.
"""

from __future__ import annotations

import base64
import json
import logging
import time
import traceback
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from freshkey._http.messages import form, json_body
from freshkey.clock import Moment
from freshkey.model.credential import ApiKey, OAuthToken
from freshkey.model.exchange import Request, Response
from freshkey.model.identity import Identity
from freshkey.model.storage import Record
from freshkey.oauth import Pkce, TokenAnswer
from freshkey.oauth.protocol import Grant
from freshkey.secret import Secret
from freshkey_testing.secret_scan import assert_no_secret, leaks, secrets_of
from promises import proves
from quoting import CANARIES


FIXED = settings(derandomize=True, database=None, max_examples=200)

ODD = st.text("ab1/+=%&\" '\\\n\u00e9\U0001f511", min_size=8, max_size=40)
SECRETS = CANARIES | ODD
AROUND = st.text(max_size=20)
NOW = Moment(1_000_000.0, 5_000.0, "boot")

Disguise = Callable[[str, str, str], str]


def _base64(before: str, secret: str, after: str) -> str:
    return base64.b64encode(f"{before}{secret}{after}".encode()).decode()


DISGUISES: dict[str, Disguise] = {
    "raw": lambda before, secret, after: before + secret + after,
    "url": lambda before, secret, after: f"{before}{quote(secret, safe='')}{after}",
    "form": lambda before, secret, after: urlencode({"a": before, "b": secret, "c": after}),
    "plus": lambda before, secret, after: before + quote_plus(secret) + after,
    "json": lambda before, secret, after: json.dumps({before: [secret, after]}),
    "json text": lambda before, secret, after: json.dumps([before + secret + after], ensure_ascii=False),
    "repr": lambda before, secret, after: f"{before}{ {'token': secret}!r}{after}",
    "hex": lambda before, secret, after: before + secret.encode().hex() + after,
    "base64": lambda before, secret, after: before + _base64("", secret, "") + after,
    "basic": lambda before, secret, after: f"Basic {_base64(f'{before}:', secret, after)}",
    "url-safe base64": lambda before, secret, after: _base64(before, secret, after).translate(
        str.maketrans("+/", "-_")
    ),
    "split arguments": lambda before, secret, after: logging.LogRecord(
        "x", 10, "x", 1, "%s%s" + after.replace("%", "%%"), (secret[:4], secret[4:]), None
    ).getMessage(),
}


@proves("FAULT-60", "LEK-1")
@settings(FIXED, max_examples=400)
@given(st.sampled_from(sorted(DISGUISES)), AROUND, SECRETS, AROUND)
@example("repr", "", 'it\'s "odd" 1', "")
@example("basic", "client", "canary-12345678", "")
@example("basic", "clien", "canary-12345678", "x")
@example("basic", "clie", "canary-12345678", "xy")
def test_secret_is_found_in_every_encoding(disguise: str, before: str, secret: str, after: str) -> None:
    shown = DISGUISES[disguise](before, secret, after)
    assert leaks(shown, {"another-secret-1", secret})
    with pytest.raises(AssertionError) as caught:
        assert_no_secret(shown, {secret}, "the log")
    assert str(caught.value).splitlines()[0] == "the log holds a secret"


@proves("FAULT-60", "LEK-1")
@FIXED
@given(st.sampled_from(sorted(DISGUISES)), CANARIES, CANARIES)
def test_another_secret_is_not_a_leak(disguise: str, secret: str, other: str) -> None:
    assume(other not in secret)
    assume(len({secret, other}) == 2)
    assert leaks(DISGUISES[disguise]("", secret, ""), {other}) is (other in secret)


def test_searching_a_long_log_for_many_secrets_is_fast() -> None:
    text = "canary-canary-canar " * 50_000
    secrets = {f"canary-canary-canary-{number}" for number in range(40)}
    began = time.process_time()
    assert not leaks(text, secrets)
    assert time.process_time() - began < 30.0


# --- texts do not depend on the secret -----------------------------------------------------------------------------


def _logged(secret: Secret) -> str:
    record = logging.LogRecord("freshkey", 10, "x", 1, "%s and %r, %20s", (secret, [secret], {"a": secret}), None)
    return record.getMessage()


def _fail(secret: Secret, inside: list[Secret]) -> None:
    raise ValueError(secret, inside)


def _raised(secret: Secret) -> str:
    try:
        _fail(secret, [secret])
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return ""


def _refused(secret: Secret) -> str:
    said = []
    for act in (lambda: json.dumps(secret), lambda: secret + secret, lambda: secret.value, lambda: iter(secret)):  # type: ignore[operator,attr-defined,call-overload]  # typical mistakes
        try:
            act()
        except (TypeError, AttributeError) as error:
            said.append(f"{error!r} {vars(error)}")
    return " ".join(said)


SHOWN: dict[str, Callable[[Secret], str]] = {
    "texts": lambda secret: f"{secret} {secret!s} {secret!r} {secret!a} {secret:>40} {[secret]} %s" % (secret,),
    "a log record": _logged,
    "an exception": _raised,
    "mistakes": _refused,
    "an API key": lambda secret: repr(ApiKey(obtained=NOW, key=secret)),
    "a token": lambda secret: repr(OAuthToken(obtained=NOW, access_token=secret, refresh_token=secret)),
    "a token response": lambda secret: repr(TokenAnswer(access_token=secret, extra={"id_token": secret.reveal()})),
    "a record": lambda secret: repr(Record(generation=1, payload=secret, written_at=0.0)),
    "a grant": lambda secret: repr(
        Grant(code=secret, redirect_uri="r", pkce=Pkce(verifier=secret, challenge="c"), state=secret.reveal())
    ),
    "a response": lambda secret: repr(
        Response(status=200, headers={"set-cookie": secret.reveal()}, body=secret.reveal().encode())
    ),
    "a form": lambda secret: repr(form("https://id.example.com/", {"token": secret.reveal()})),
    "a JSON body": lambda secret: repr(json_body("https://id.example.com/", {"token": secret.reveal()})),
    "a request": lambda secret: repr(
        Request(method="GET", url="https://id.example.com/", headers={"Authorization": quote(secret.reveal())})
    ),
}


@proves("FAULT-60", "LEK-1")
@pytest.mark.parametrize("shown", SHOWN)
@settings(FIXED, max_examples=25)
@given(one=SECRETS, other=SECRETS)
def test_no_text_depends_on_the_secret(shown: str, one: str, other: str) -> None:
    show = SHOWN[shown]
    assert show(Secret(one)) == show(Secret(other))


@FIXED
@given(SECRETS, SECRETS)
def test_detector_knows_every_secret_of_a_credential(access: str, refresh: str) -> None:
    token = OAuthToken(
        obtained=NOW, access_token=Secret(access), refresh_token=Secret(refresh), identity=Identity(account="ada")
    )
    assert secrets_of([token, {"more": (token,)}]) == {access, refresh}
