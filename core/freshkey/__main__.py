"""The script ``freshkey`` and ``python -m freshkey``: starts the command line, or says how to install it."""

from __future__ import annotations

import sys
from importlib.util import find_spec


NOT_INSTALLED = """\
freshkey: the command line is not installed. Run:
  {python} -m pip install 'freshkey[cli]=={version}'
then run this again: {command}"""


def main() -> int:
    """Run the command line and return its exit code; 2 where it is not installed."""
    if find_spec("freshkey_cli") is None:
        import shlex

        from freshkey import __version__

        told = NOT_INSTALLED.format(
            python=shlex.quote(sys.executable), version=__version__, command=shlex.join(["freshkey", *sys.argv[1:]])
        )
        sys.stderr.write(told + "\n")
        return 2
    from importlib import import_module

    code: int = import_module("freshkey_cli").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
