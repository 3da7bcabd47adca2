"""Why a container endpoint or the instance metadata service (IMDS) gave no credentials: botocore does not say.

A place that a variable or the firmware names is known to be there. If nothing accepts connections there, or it answers
with an error of its own, it has probably not started yet.
See docs/decisions.md, "Instance metadata that fails is waited for, unless a sign-in is expected".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import define

from freshkey.errors import ProtocolError, TransientError, found_here
from freshkey.plugin import parse_json_object


SILENT: Final = "ReadTimeoutError"
"""botocore's exception for something that accepts connections, but does not answer."""

_OK: Final = 200
_FORBIDDEN: Final = 403
_SERVER_ERROR: Final = 500
_SLOW_DOWN: Final = 429
_MAX_WORDS: Final = 200
_PLAIN: Final = re.compile(r"(?i:https?)://(?:\[([0-9A-Fa-f:]+)\]|([0-9A-Za-z.-]+))(?::[0-9]+)?(?:[/?#].*)?", re.DOTALL)
"""Libraries disagree about the host of other URLs, such as one with a backslash before ``@``."""
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")

_INSTANCE_HINTS: Final = {
    401: "In a container on an instance, raise the hop limit of its metadata (HttpPutResponseHopLimit) to 2",
    404: "Attach a role to the instance; a role that was just attached appears after some seconds",
}
_NOT_HERE: Final = "set AWS_EC2_METADATA_DISABLED=true if this machine is to use other credentials"


@define
class LastAnswer:
    """What the last request to a place led to.

    Attributes:
        status: Status of the response; 0 if there was none.
        date: Its header ``Date``.
        said: The code and the message in a successful response that has no credentials.
        failure: Name of botocore's exception.
    """

    status: int = 0
    date: str = ""
    said: str = ""
    failure: str = ""

    def watch(self, session: Any) -> None:  # noqa: ANN401  botocore has no types
        """Note what each request of an HTTP session of botocore leads to."""
        send: Callable[[Any], Any] = session.send

        def noted(request: Any) -> Any:  # noqa: ANN401  botocore has no types
            try:
                response = send(request)
            except Exception as error:
                self.status, self.date, self.said, self.failure = 0, "", "", type(error).__name__
                raise
            self.status, self.date, self.failure = response.status_code, response.headers.get("Date", ""), ""
            self.said = _said(response.content) if self.status == _OK else ""
            return response

        session.send = noted

    @property
    def may_start(self) -> bool:
        """Whether the place has probably not started yet."""
        if not self.status:
            return self.failure != SILENT
        return self.status >= _SERVER_ERROR or self.status == _SLOW_DOWN

    @property
    def words(self) -> str:
        """What happened, to follow the name of the place."""
        if not self.status:
            return "accepts connections, but does not answer" if self.failure == SILENT else "cannot be reached"
        if self.status != _OK:
            return f"responded with status {self.status}"
        return f"responded without credentials{self.said and ': '}{self.said}"


def instance_failure(last: LastAnswer) -> TransientError | None:
    """Return the error for instance metadata that gave no credentials; None if it was not asked or is turned off."""
    if last.status in {0, _FORBIDDEN, 400} and not last.failure:
        return None
    hint = _INSTANCE_HINTS.get(last.status, "Check the instance's metadata options and its role")
    return found_here(
        TransientError(
            f"the instance metadata service {last.words}",
            hint=f"{hint}; or {_NOT_HERE}",
            starting=last.may_start,
            local=True,
            code="bedrock-aws-unavailable",
        )
    )


def container_failure(last: LastAnswer, url: str) -> TransientError | None:
    """Return the error for the container endpoint that gave no credentials; None if it was not asked.

    Args:
        last: What the request led to.
        url: Its URL; the path is not quoted, because it may be what authorizes the request.
    """
    if not (last.status or last.failure):
        return None
    near = is_near(url)
    error = TransientError(
        f"the container credential endpoint {_origin(url)} {last.words}",
        hint="Check what serves it, and that a role is attached to the task or to the pod's service account",
        starting=near and last.may_start,
        local=near or not last.status,
        code="bedrock-aws-unavailable",
    )
    return found_here(error) if near else error


def is_near(url: str) -> bool:
    """Return whether a URL names this machine, or an address that only this machine and its containers reach."""
    plain = _PLAIN.fullmatch(url)
    host = (plain[1] or plain[2]) if plain else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    # The last is the IPv6 address of EKS Pod Identity.
    return address.is_loopback or address.is_link_local or str(address) == "fd00:ec2::23"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _said(content: bytes) -> str:
    """Return the code and the message of an answer that is an error, although its status is not."""
    with suppress(ProtocolError):
        facts = parse_json_object(content)
        if "AccessKeyId" not in facts:
            texts = (str(facts.get(name) or "") for name in ("Code", "Message"))
            return _UNPRINTABLE.sub(" ", " ".join(filter(None, texts)))[:_MAX_WORDS]
    return ""
