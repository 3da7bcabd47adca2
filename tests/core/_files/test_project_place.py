"""What lies in the project of the working directory (TRU-13)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from freshkey._files import project_place
from freshkey._files.project_place import project_of, without_project_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = Path(os.path.realpath(tmp_path)) / "project"
    (root / ".git").mkdir(parents=True)
    (root / "sub").mkdir()
    (root / "file").write_text("x")
    return root


def test_every_way_to_a_file_of_the_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: relative, through links in either direction, through /proc, and what does not exist yet."""
    outside = project.parent / "outside"
    outside.mkdir()
    (outside / "to-project").symlink_to(project)
    (project / "to-outside").symlink_to(outside)
    monkeypatch.chdir(project / "sub")
    inside: list[Path | str] = [
        project / "file",
        "../file",
        "file",
        outside / "to-project" / "file",
        project / "to-outside" / "mine",
    ]
    inside += ["/proc/self/cwd/x"] if Path("/proc/self").exists() else []
    assert [project_of(path) for path in inside] == [project] * len(inside)
    assert [project_of(path) for path in (outside / "mine", "/etc/passwd", "../../outside/mine")] == [None] * 3


def test_outermost_marker_counts(project: Path) -> None:
    """TRU-13: a checkout may contain another one, such as a submodule."""
    (project / "sub" / ".git").write_text("gitdir: x")
    assert project_of(project / "file", project / "sub") == project


def test_working_directory_is_the_project_without_a_marker(tmp_path: Path) -> None:
    assert project_of(tmp_path / "a" / "b", tmp_path) == Path(os.path.realpath(tmp_path))
    assert project_of(tmp_path / "b", tmp_path / "a") is None


@pytest.mark.parametrize("where", ["home", "above"])
def test_home_and_what_is_above_it_is_no_project(project: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = project if where == "home" else project / "sub"
    monkeypatch.setattr(project_place, "_system_home", lambda: home)
    assert project_of(project / "file", project) is None
    assert project_of(project / "sub" / "x", project / "sub") == (project / "sub" if where == "home" else None)


def test_home_that_was_moved_into_a_project_does_not_hide_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: HOME may come from the project, too."""
    monkeypatch.setattr(project_place, "_system_home", lambda: Path("/root"))
    monkeypatch.setenv("HOME", str(project))
    assert project_of(project / ".aws" / "config", project) == project


def test_home_of_a_container_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_place, "_system_home", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert project_of(tmp_path / ".aws" / "config", tmp_path) is None


@pytest.mark.parametrize("path", ["\0", "a\0b", "\udcff", "x" * 5000])
def test_odd_paths_do_not_raise(project: Path, path: str) -> None:
    project_of(path, project)


def test_path_without_what_the_project_brings(project: Path) -> None:
    """TRU-13: relative and empty entries depend on the working directory."""
    entries = ["", ".", "bin", str(project / "node_modules" / ".bin"), "/usr/bin", "/bin"]
    kept = without_project_path({"PATH": os.pathsep.join(entries), "A": "b"}, project)
    assert kept == {"PATH": os.pathsep.join(["/usr/bin", "/bin"]), "A": "b"}
    assert without_project_path({"PATH": "bin"}, project) == {"PATH": os.devnull}
    assert without_project_path({"A": "b"}) == {"A": "b"}
