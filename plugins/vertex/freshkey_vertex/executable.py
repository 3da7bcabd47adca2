"""Says so if the program of a federation file answers that it has no identity token; google-auth only quotes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from google.auth.exceptions import RefreshError

from freshkey.errors import LoginRequired, found_here, frameless
from freshkey.oauth import TRANSIENT_STATUSES, clean_code, shown_code


if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SERVER_ERROR: Final = 500
_STATUS: Final = re.compile(r"\d{3}", re.ASCII)


def explain_refusals(workload: Credentials) -> None:
    """Have google-auth's object raise `LoginRequired` if the program refuses.

    Its code is shown, such as ``401``, but not its message, which may contain anything. A code that means a failure of
    the program or of its server is left to google-auth.
    """
    pluggable: Any = workload
    parse: Callable[[Any], str] = pluggable._parse_subject_token  # noqa: SLF001
    retrieve: Callable[[Any], str] = pluggable.retrieve_subject_token
    answers: list[Any] = []

    def parsed(answer: Any) -> str:  # noqa: ANN401  as printed
        answers[:] = [answer]
        return parse(answer)

    @frameless
    def retrieved(request: Any) -> str:  # noqa: ANN401  google-auth's signature
        try:
            return retrieve(request)
        except RefreshError:
            refusal = _refusal(answers[0]) if answers else None
            if refusal is None:
                raise
        raise refusal

    # google-auth first reads a cached answer, and ignores what is wrong with it; only the last answer counts.
    vars(workload).update(_parse_subject_token=parsed, retrieve_subject_token=retrieved)


def _refusal(answer: Any) -> LoginRequired | None:  # noqa: ANN401  as printed
    if not isinstance(answer, dict) or answer.get("success") is not False:
        return None
    code = clean_code(str(answer.get("code") or "")) or ""
    status = int(code) if _STATUS.fullmatch(code) else 0
    if status >= _SERVER_ERROR or status in TRANSIENT_STATUSES:
        return None
    said = code if status else shown_code(code)
    return found_here(
        LoginRequired(
            f"the program that prints the identity token says that it has none: {said}",
            hint="Sign in with the program in credential_source.executable, then try again",
            code="vertex-no-identity-token",
        )
    )
