"""Says so if the program of a federation file answers that it has no identity token; google-auth only quotes it."""

from __future__ import annotations

import re
import shlex
import sys
from typing import Any, Final

from google.auth import pluggable
from google.auth.exceptions import RefreshError

from freshkey.errors import LoginRequired, found_here, frameless
from freshkey.oauth import TRANSIENT_STATUSES, clean_code, shown_code
from freshkey.plugin import checked_program, child_environment, without_project_path
from freshkey_vertex.command_words import of_google
from freshkey_vertex.subject_token import ensure_identity_token


_SERVER_ERROR: Final = 500
_STATUS: Final = re.compile(r"\d{3}", re.ASCII)


class ProgramCredentials(pluggable.Credentials):
    """Credentials that raise `LoginRequired` if the program that prints the identity token refuses.

    Its code is shown, such as ``401``, but not its message, which may contain anything. A code that means a failure of
    the program or of its server is left to google-auth.
    """

    _answer: object = None

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401  google-auth's signature
        super().__init__(*args, **named)  # type: ignore[no-untyped-call]
        self._command = str(self._credential_source_executable_command)

    @frameless
    def retrieve_subject_token(self, request: Any) -> str:  # noqa: ANN401  google-auth's signature
        """Return what the program prints.

        Raises:
            ConfigurationError: The program is missing, another user can change it, or it is a batch file whose
                arguments google-auth cannot pass.
            LoginRequired: The program says that it has no identity token.
        """
        argv = of_google(self._command)
        # As it was found: on Windows, a name would be looked up in the working directory first, as by CreateProcess.
        self._credential_source_executable_command = shlex.join([checked_program(argv), *argv[1:]])
        try:
            token: str = super().retrieve_subject_token(request)
        except RefreshError:
            refusal = _refusal(self._answer)
            if refusal is None:
                raise
        else:
            ensure_identity_token(token, str(self._subject_token_type))
            return token
        raise refusal

    def _inject_env_variables(self, env: dict[str, str]) -> None:
        super()._inject_env_variables(env)  # type: ignore[no-untyped-call]
        kept = without_project_path(child_environment(env))
        if sys.platform == "win32":  # the working directory, which may be a checkout, is the program's, too
            kept["NoDefaultCurrentDirectoryInExePath"] = "1"
        env.clear()
        env.update(kept)

    def _parse_subject_token(self, response: Any) -> str:  # noqa: ANN401  as printed
        # google-auth first reads a cached answer, and ignores what is wrong with it; only the last answer counts.
        self._answer = response
        token: str = super()._parse_subject_token(response)  # type: ignore[no-untyped-call]
        return token


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
