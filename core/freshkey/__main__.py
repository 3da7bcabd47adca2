"""The ``freshkey`` script and ``python -m freshkey``: runs the command line, or prints how to install it."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Final


NOT_INSTALLED: Final = 2
"""The exit code if the command line is not installed; the same as for invalid arguments."""

_TOLD: Final = """\
freshkey: the command line is not installed [missing-package]. To install it, run:
  {installer} {package}
then run: {command}
"""


def main() -> int:
    """Run the command line and return its exit code, or `NOT_INSTALLED`.

    If it is installed but broken, its own exception is raised: installing it again would not help.
    """
    # The script is in the core, so that advice such as `freshkey login work` leads somewhere without the command line,
    # too. See docs/decisions.md, "The command line is an application of the core".
    spec = find_spec("freshkey_cli")
    if spec is None or spec.origin is None:  # a directory of that name that is not a package
        sys.stderr.write(_how_to_install())
        return NOT_INSTALLED
    code: int = import_module("freshkey_cli").main()
    return code


def _how_to_install() -> str:
    from freshkey import __version__
    from freshkey._text.shell_words import shell_joined, shell_quoted

    python = shell_quoted(sys.executable)
    # Environments created by uv do not contain pip.
    installer = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    command = shell_joined(["freshkey", *sys.argv[1:]])
    return _TOLD.format(installer=installer, package=shell_quoted(f"freshkey[cli]=={__version__}"), command=command)


if __name__ == "__main__":
    sys.exit(main())
