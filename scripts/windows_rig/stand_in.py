"""Takes setuptools' place when pip wants to know a source archive's name and version: no code of its author runs.

pip runs the archive's ``setup.py`` for that even to download it, with whatever it needs, which nothing pins. This takes
them from the archive's ``PKG-INFO``. It must not import this package: pip's interpreter does not have it.
"""

import sys
from email.parser import HeaderParser
from pathlib import Path


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:  # noqa: ARG001
    """Write the metadata of the archive whose contents are in the working directory; return their folder (PEP 517)."""
    text = Path("PKG-INFO").read_text("utf-8")
    known = HeaderParser().parsestr(text)
    folder = Path(metadata_directory, f"{known['Name'].replace('-', '_')}-{known['Version']}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(text, "utf-8")
    return folder.name


# What pip asks if the archive names no build backend.
__legacy__ = sys.modules[__name__]
