"""The script ``freshkey`` and ``python -m freshkey``: starts the command line, or says how to install it."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Final


NOT_INSTALLED: Final = 2
"""The exit code where the command line is not installed; that of a command line that is not understood."""

_TOLD: Final = """\
freshkey: the command line is not installed. Run:
  {installer} 'freshkey[cli]=={version}'
then run this again: {command}
"""


def main() -> int:
    """Run the command line and return its exit code; `NOT_INSTALLED` where there is none.

    One that is there and broken raises what it raises: installing it once more would not help.
    """
    spec = find_spec("freshkey_cli")
    if spec is None or spec.origin is None:  # a folder of that name that holds no package
        sys.stderr.write(_how_to_install())
        return NOT_INSTALLED
    code: int = import_module("freshkey_cli").main()
    return code


def _how_to_install() -> str:
    import shlex

    from freshkey import __version__

    python = shlex.quote(sys.executable)
    # Environments that uv makes have no pip of their own.
    installer = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    command = shlex.join(["freshkey", *sys.argv[1:]])
    return _TOLD.format(installer=installer, version=__version__, command=command)


if __name__ == "__main__":
    sys.exit(main())
