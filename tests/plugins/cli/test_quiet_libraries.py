"""What libraries and plugins log, warn of or raise reaches standard error only cleaned, as it may contain secrets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from promises import proves


_QUIET = (
    "import logging, sys, threading, warnings\n"
    "from freshkey_cli import process; from freshkey_cli.output import Output\n"
    "process.quiet_libraries(Output().instruct)\n"
    "log = logging.getLogger('a.plugin')\n"
    "token = 'rt-NmL9k3jHg4fDs5aPo6iUy7tRe8wQ'\n"
)


def _said(program: str, **environ: str) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"} | environ
    done = subprocess.run(
        [sys.executable, "-c", _QUIET + program], capture_output=True, text=True, check=False, env=env
    )
    assert done.stdout == ""
    return done.stderr


@proves("LEK-9")
@pytest.mark.parametrize(
    "program",
    [
        "log.warning('server refused %s', token)",
        "log.critical(token)",
        "log.error('%d %s', object(), token)",
        "logging.warning(token)",
        "logging.basicConfig(); log.warning(token)",
        "log.propagate = False; log.warning(token)",
        "logging.getLogger('freshkey').warning(token)",
        "logging.getLogger('freshkey.acme').warning(token)",
        "logging.getLogger('freshkey_acme').warning(token)",
        "try: raise ValueError(token)\nexcept ValueError: log.exception('failed')",
        "thread = threading.Thread(target=log.warning, args=[token]); thread.start(); thread.join()",
        "log.addHandler(logging.StreamHandler(sys.__stdin__)); log.warning(token)",
        "warnings.warn(token)",
        "warnings.warn(token, DeprecationWarning)",
    ],
)
def test_logs_and_warnings_of_plugins_are_not_shown(program: str) -> None:
    assert _said(program) == ""


@proves("LEK-9")
@pytest.mark.parametrize(
    "program",
    [
        "raise ValueError(token)",
        "try: raise KeyError(token)\nexcept KeyError as error: raise ValueError(token) from error",
        "thread = threading.Thread(target=int, args=[token]); thread.start(); thread.join()",
        "class A:\n    def __del__(self): raise ValueError(token)\nA()",
    ],
)
def test_of_an_error_that_nobody_catches_only_kind_and_place_are_shown(program: str) -> None:
    said = _said(program)
    assert said.startswith("freshkey: unexpected error: ValueError\n")
    assert "NmL9" not in said


def test_what_freshkey_logs_is_shown_cleaned() -> None:
    program = (
        "from freshkey import events\n"
        "code = compile(r'log.warning(\"bad %s\\x1b[2J\", \"sk-ant-api03-abcDEF123456\")', events.__file__, 'exec')\n"
        "exec(code, vars(events))\n"
    )
    assert _said(program) == "freshkey: bad [redacted]\N{REPLACEMENT CHARACTER}[2J\n"


def test_of_a_warning_that_was_asked_for_kind_and_place_are_shown() -> None:
    assert _said("warnings.warn(token)", PYTHONWARNINGS="default") == "freshkey: UserWarning at <string>:6\n"
