"""What a variable names (TRU-13)."""

from __future__ import annotations

import os

import pytest

from freshkey._files.variable_paths import variable_paths


@pytest.mark.parametrize("name", ["SSL_CERT_DIR", "AWS_DATA_PATH", "XDG_DATA_DIRS", "LD_AUDIT"])
def test_lists_name_each_of_their_paths(name: str) -> None:
    """TRU-13: as OpenSSL, botocore and the desktop split them."""
    assert variable_paths(name, os.pathsep.join(["/a", "", "b"])) == ("/a", "b")
    assert variable_paths(name, "") == ()


@pytest.mark.parametrize(
    ("name", "value", "paths"),
    [
        ("PATH", os.pathsep.join(["/a", ""]), ("/a", "")),
        ("PYTHONPATH", os.pathsep.join(["", "/a"]), ("", "/a")),
        ("SSL_CERT_FILE", f"/a{os.pathsep}/b", (f"/a{os.pathsep}/b",)),
        ("LD_PRELOAD", "/a.so /b.so:/c.so", ("/a.so", "/b.so", "/c.so")),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:guid=1,path=/a,x=y;unix:abstract=/b;unix:path=/c", ("/a", "/c")),
        ("AWS_CONFIG_FILE", "", ()),
    ],
)
def test_forms_of_variables(name: str, value: str, paths: tuple[str, ...]) -> None:
    assert variable_paths(name, value) == paths
