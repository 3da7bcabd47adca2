"""What changes when a source of AWS credentials changes (`Detected.version`); reads no file of credentials for it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Command, Secret, file_version, without_project_path
from freshkey_bedrock.cli_caches import cache_files
from freshkey_bedrock.shared_config import config_file, credentials_file, read_files, source_chain


_WINDOWS_WORD: Final = re.compile(r'(?:[^ \t"]|"[^"]*(?:"|$))+')


def of_environment(environ: Mapping[str, str] = os.environ) -> str:
    """Return the version of AWS's variables, and of the files that they name."""
    named = {name: value for name, value in sorted(environ.items()) if name.startswith("AWS_")}
    text = "\0".join(f"{name}={value}" for name, value in named.items())
    files = (Path(value) for name, value in named.items() if name.endswith("_FILE"))
    return f"{Secret(text).fingerprint()} {file_version(*files)}"


def of_profile(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the version of an AWS profile: of both shared files, and of all files and sessions that it refers to.

    AWS's variables count, too: a profile may take keys from them, and they may name other endpoints.
    """
    files = [config_file(environ), credentials_file(environ)]
    variables = of_environment(environ)
    try:
        shared = read_files(environ)
    except ConfigurationError:
        return f"{variables} {file_version(*files)}"
    for one in source_chain(name, shared):
        section = shared.section(one) or {}
        files += cache_files(section, environ)
        if token := section.get("web_identity_token_file"):
            files.append(Path(token))
        if process := section.get("credential_process"):
            files += _programs(_argv(process), environ)
    return f"{variables} {file_version(*files)}"


def of_command(command: Command, environ: Mapping[str, str] = os.environ) -> str:
    """Return the version of a command, and of the files that the AWS CLI and its kin keep credentials in."""
    home = Path(os.path.expanduser("~")) / ".aws"  # noqa: PTH111  never raises
    caches = (home / "sso" / "cache", home / "login" / "cache", home / "cli" / "cache")
    return file_version(*_programs(command.argv, environ), config_file(environ), credentials_file(environ), *caches)


def _argv(command_line: str) -> list[str]:
    """Return a command line as botocore splits it, or at its spaces if it is malformed."""
    if sys.platform == "win32":  # only double quotes quote there, and a backslash separates the parts of a path
        return [word.replace('"', "") for word in _WINDOWS_WORD.findall(command_line)]
    try:
        return shlex.split(command_line)
    except ValueError:
        return command_line.split()


def _programs(argv: tuple[str, ...] | list[str], environ: Mapping[str, str]) -> list[Path]:
    """Return the files that a command line names: the program, and scripts among its arguments."""
    if not argv:
        return []
    program = shutil.which(argv[0], path=without_project_path(environ).get("PATH")) or argv[0]
    return [Path(program), *(path for path in map(Path, argv[1:]) if path.is_absolute())]
