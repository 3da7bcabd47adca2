"""What AWS's tools open or reach because a variable names it (TRU-13)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from freshkey.plugin import Profile
from freshkey_vertex import aws_own


FILES = [name for name in aws_own.VARIABLES if name.endswith(("_FILE", "_DIRECTORY", "_PATH"))]


def opened(environ: dict[str, str]) -> list[tuple[str, str]]:
    """Return the files that must be the user's own, with the variables that name them."""
    asked: list[tuple[str, str]] = []

    def ensure_own(variable: str, path: Path | str) -> None:
        asked.append((variable, Path(path).as_posix()))

    profile = Profile(name="me", provider="vertex", settings=None, state_dir=Path("/x"), ensure_own=ensure_own)
    aws_own.ensure_own(profile, environ)
    return [one for one in asked if one[0] not in {"HOME", "USERPROFILE"}]


@pytest.mark.parametrize(
    "name", [name for name in aws_own.VARIABLES if name.endswith(("_FILE", "_DIRECTORY", "_PATH"))]
)
def test_every_variable_that_names_a_file_is_checked(name: str) -> None:
    """TRU-13: what explain names and what is checked come from one list."""
    assert (name, "/etc/x") in opened({name: "/etc/x"})


def test_each_path_of_a_list_is_checked() -> None:
    """TRU-13: as botocore splits it."""
    paths = opened({"AWS_DATA_PATH": os.pathsep.join(["/a", "/b"])})
    assert {("AWS_DATA_PATH", "/a"), ("AWS_DATA_PATH", "/b")} <= set(paths)


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "AWS_WEB_IDENTITY_TOKEN_FILE"])
def test_path_is_checked_as_it_is_opened(name: str) -> None:
    """TRU-13: botocore opens it as written, so a folder of the project can be called "~"."""
    assert (name, "~/x.pem") in opened({name: "~/x.pem"})


@pytest.mark.parametrize(
    "name",
    ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_CSM_HOST", "BOTOCORE_EXPERIMENTAL__PLUGINS"],
)
def test_variables_that_move_endpoints_are_named(name: str) -> None:
    assert name in aws_own.VARIABLES
