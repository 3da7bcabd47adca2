"""What lies in the project of the working directory (TRU-13)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from freshkey._files import project_place, variable_paths
from freshkey._files.project_place import (
    FOLDERS,
    LOADERS,
    MARKERS,
    leads_into_project,
    project_of,
    why_project,
    without_project_path,
)
from second_user import SecondUser


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
    monkeypatch.chdir(project / "sub")
    inside: list[Path | str] = [project / "file", "../file", "file"]
    if sys.platform != "win32":  # Wine 8 makes no symbolic links
        (outside / "to-project").symlink_to(project)
        (project / "to-outside").symlink_to(outside)
        inside += [outside / "to-project" / "file", project / "to-outside" / "mine"]
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


def test_message_can_say_why_a_directory_is_a_project(project: Path, tmp_path: Path) -> None:
    assert why_project(project, project / "sub") == "it contains .git"
    assert why_project(tmp_path, tmp_path) == "it is the working directory"
    (tmp_path / "Makefile").touch()
    assert why_project(tmp_path, tmp_path) == "it contains Makefile"


@pytest.mark.parametrize("marker", MARKERS)
def test_every_kind_of_checkout_and_every_file_that_sets_variables_marks_a_project(tmp_path: Path, marker: str) -> None:
    """TRU-13: what names a file of the project from a directory below its root."""
    root = Path(os.path.realpath(tmp_path)) / "unpacked"
    (root / "src" / "deep").mkdir(parents=True)
    (root / marker).touch()
    assert project_of(root / "aws", root / "src" / "deep") == root
    assert project_of("../../aws", root / "src" / "deep") == root
    assert project_of(root.parent / "aws", root / "src") is None


@pytest.mark.parametrize("marker", [".env", ".envrc", "Makefile", ".git"])
def test_marker_in_the_home_directory_marks_nothing(
    tmp_path: Path, marker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(os.path.realpath(tmp_path)) / "home"
    (home / "work" / "x").mkdir(parents=True)
    (home / marker).touch()
    (home.parent / marker).touch()
    monkeypatch.setattr(project_place, "_system_home", lambda: home)
    assert project_of(home / ".aws" / "config", home / "work" / "x") is None
    assert project_of(home / ".aws" / "config", home) is None


@pytest.mark.parametrize("marker", [".git", ".freshkey.toml", ".env"])
def test_marker_of_another_user_marks_nothing(open_tmp_path: Path, second_user: SecondUser, marker: str) -> None:
    """TRU-13: otherwise, what is the user's own below a directory of everyone would be the project's."""
    place = Path(os.path.realpath(open_tmp_path))
    mine = place / "mine"
    mine.mkdir()
    place.chmod(0o1777)
    second_user.run("pathlib.Path(sys.argv[1]).mkdir()", place / marker)
    assert project_of(place / "aws", mine) is None
    theirs = place / "theirs"
    second_user.run("pathlib.Path(sys.argv[1], 'x').mkdir(parents=True)", theirs)
    second_user.run("pathlib.Path(sys.argv[1]).touch()", theirs / marker)
    assert project_of(theirs / "aws", theirs / "x") == theirs.parent  # in a checkout of another user it counts


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
    monkeypatch.setenv("USERPROFILE", str(project))
    assert project_of(project / ".aws" / "config", project) == project


def test_home_of_a_container_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_place, "_system_home", lambda: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert project_of(tmp_path / ".aws" / "config", tmp_path) is None


@pytest.mark.parametrize("marked", [True, False])
def test_where_the_system_starts_programs_is_no_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, *, marked: bool
) -> None:
    """TRU-13: elevated shells, services and scheduled tasks of Windows work in System32, which has its programs."""
    system = project.parent / "system"
    (system / "deep" / "checkout" / ".git").mkdir(parents=True)
    if marked:
        (system / "package.json").touch()  # of a user who was in the wrong window
    monkeypatch.setattr(project_place, "_starts_programs", lambda at: at == system)
    assert project_of(system / "tool", system) is None
    assert without_project_path({"PATH": str(system)}, system) == {"PATH": str(system)}
    assert project_of(system / "deep" / "tool", system / "deep") == system / "deep"
    checkout = system / "deep" / "checkout"
    assert project_of(checkout / "tool", checkout) == checkout


def test_whole_drive_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: the home directory may be on another one."""
    monkeypatch.setattr(project_place, "_homes", lambda *, from_variable: [])
    root = Path(Path(os.path.realpath(tmp_path)).anchor)
    assert project_of(root / "state", root) is None
    assert project_of(tmp_path / "x", tmp_path) == Path(os.path.realpath(tmp_path))
    monkeypatch.setattr(project_place, "is_marked", lambda directory, names, owner: directory == root)
    assert project_of(root / "state", root) == root


@pytest.mark.parametrize("path", ["\0", "a\0b", "\udcff", "x" * 5000])
def test_odd_paths_do_not_raise(project: Path, path: str) -> None:
    project_of(path, project)


def test_path_without_what_the_project_brings(project: Path) -> None:
    """TRU-13: relative and empty entries depend on the working directory."""
    own = [str(project.parent / "bin"), str(project.parent / "sbin")]
    entries = ["", ".", "bin", str(project / "node_modules" / ".bin"), *own]
    kept = without_project_path({"PATH": os.pathsep.join(entries), "A": "b"}, project)
    assert kept == {"PATH": os.pathsep.join(own), "A": "b"}
    assert without_project_path({"PATH": "bin"}, project) == {"PATH": os.devnull}
    assert without_project_path({"A": "b"}) == {"A": "b"}


def test_entries_of_path_in_quotation_marks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: cmd.exe takes the marks off, while programs that are started may not."""
    monkeypatch.setattr(variable_paths, "_MARK", '"')
    own, inside = str(project.parent / "my tools"), str(project / "bin")
    path = os.pathsep.join([f'"{own}"', f'"{inside}"', '"bin"', '""'])
    assert without_project_path({"PATH": path}, project) == {"PATH": own}


def test_where_the_system_is_only_the_system_says(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: what ``COMSPEC`` names is run by every program that runs a line of a shell."""
    monkeypatch.setattr(project_place, "system_variables", lambda: {"COMSPEC": "/system/cmd.exe", "WINDIR": "/system"})
    for value in (str(project / "x.exe"), "x.exe", "/elsewhere"):
        assert without_project_path({"COMSPEC": value, "A": value}, project) == {
            "COMSPEC": "/system/cmd.exe",
            "A": value,
        }


def test_no_variable_of_a_child_leads_to_programs_of_the_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRU-13: a desktop looks up applications, and shells and interpreters load code, from variables."""
    monkeypatch.setattr(project_place, "_system_home", lambda: tmp_path)
    inside, share = str(project / "x"), str(tmp_path / "share")
    environ = dict.fromkeys((*FOLDERS, *LOADERS), inside)
    dirs = os.pathsep.join([share, inside])
    environ |= {"XDG_DATA_DIRS": dirs, "XDG_CONFIG_DIRS": inside, "HOME": inside, "A": inside}
    kept = without_project_path(environ, project)
    assert kept == {"XDG_DATA_DIRS": share, "HOME": str(tmp_path), "A": inside}
    own = {"XDG_DATA_HOME": share, "HOME": share, "NODE_OPTIONS": "--max-old-space-size=8", "LD_PRELOAD": "/l.so"}
    assert without_project_path(own, project) == own


@pytest.mark.parametrize(
    "form",
    ["{}", "--require {}", "--require=x,{}", "-I{}", "-javaagent:{}", '-r "{}"', "/usr/lib:{}", "-e ../file", "file"],
)
def test_path_of_the_project_in_any_form(project: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: in options of an interpreter, such as NODE_OPTIONS and JAVA_TOOL_OPTIONS."""
    monkeypatch.chdir(project / "sub" if ".." in form else project)
    assert leads_into_project(form.format(project / "file"))
    assert not leads_into_project(form.format("/usr/x").replace("file", "other"))


@pytest.mark.parametrize("form", ["{}", "--import={}", "--import {} --no-warnings", "x,{}"])
@pytest.mark.parametrize("encoded", ["{}", "{}%20x", "%66ile"])
def test_url_of_a_file_of_the_project(project: Path, form: str, encoded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: as Node.js takes modules."""
    monkeypatch.chdir(project / "sub")
    url = (project / "file").as_uri()
    for own in (url, url.replace("file:///", "file://localhost/"), url.replace("/project/", "/%70roject/")):
        assert leads_into_project(form.format(own.removesuffix("file") + encoded.format("file"))), own
    for other in ("/usr/x", "/project/file"):
        assert not leads_into_project(form.format(Path(project.anchor, other).as_uri()))


@pytest.mark.parametrize(
    "at",
    [
        *(".config", ".config/freshkey", ".local", ".local/state", ".local/state/freshkey", ".aws", "Library/Caches"),
        *("AppData", "AppData/Local", "AppData/Roaming/freshkey"),
    ],
)
@pytest.mark.parametrize("marked", [True, False])
def test_where_programs_keep_the_users_settings_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, *, marked: bool
) -> None:
    """TRU-13: a user edits a file there, or keeps dotfiles in a repository."""
    monkeypatch.setattr(project_place, "_system_home", lambda: tmp_path)
    (tmp_path / at / "deeper").mkdir(parents=True)
    if marked:
        (tmp_path / at / ".git").mkdir()
    assert project_of(tmp_path / at / "file", tmp_path / at) is None
    assert project_of(tmp_path / at / "file", tmp_path / at / "deeper") is None


def test_a_checkout_in_a_hidden_directory_is_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_place, "_system_home", lambda: tmp_path)
    for at in (".cache/checkout", ".local/share/tool/checkout", ".config/tool/plugin"):
        (tmp_path / at / ".git").mkdir(parents=True)
        assert project_of(tmp_path / at / "file", tmp_path / at) == tmp_path / at


def test_home_of_the_system_is_not_that_of_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: a project's ``.env`` can set the variable."""
    home = project_place._system_home()
    assert home is not None
    assert home.is_dir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert project_place._system_home() == home != tmp_path


only_windows = pytest.mark.skipif(sys.platform != "win32", reason="only Windows has drives, and names without case")


@only_windows
def test_every_way_to_write_a_path_on_windows(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: in another case, with slashes, relative to the drive or to its working directory."""
    monkeypatch.chdir(project)
    file = project / "file"
    inside = [
        *(str(file).upper(), str(file).lower(), file.as_posix(), str(file)[2:], file.as_posix()[2:]),
        *(f"{file.drive}file", f"{file.drive}sub\\..\\file", f"\\\\?\\{file}", "sub/../FILE"),
    ]
    assert [project_of(path) for path in inside] == [project] * len(inside)
    outside = [f"{file.drive}..\\file", "Z:\\file", "\\file", "/file", f"{file.drive}\\file", str(project) + "2\\file"]
    assert [project_of(path) for path in outside] == [None] * len(outside)


@only_windows
@pytest.mark.parametrize("form", ["-I{}", "--require={}", "-javaagent:{}", "C:\\lib;{}", "-x C:/lib,{}", '"{}"'])
def test_option_with_a_drive_leads_into_the_project(project: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    file = project / "file"
    for path in (str(file), file.as_posix(), str(file).upper(), str(file)[2:]):
        assert leads_into_project(form.format(path)), path
    if form != "-I{}":  # whose letter may be a drive's or the option's: then the drive does not count
        assert not leads_into_project(form.format(f"Z:{str(file)[2:]}"))
    assert not leads_into_project(form.format(f"{file.drive}\\other\\file"))


@only_windows
def test_variables_count_in_any_case(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: ``Path`` is how Windows itself writes it, and what a dictionary of variables may have."""
    monkeypatch.setattr(project_place, "_system_home", lambda: tmp_path)
    inside, own = str(project / "x"), str(tmp_path / "bin")
    environ = {"Path": os.pathsep.join([inside, own, "\\bin", "bin"]), "Node_Options": f"-r {inside}"}
    environ |= {"UserProfile": inside, "AppData": inside.upper(), "LOCALAPPDATA": Path(inside).as_posix()}
    assert without_project_path(environ, project) == {
        "Path": own,
        "UserProfile": str(tmp_path),
        "AppData": str(tmp_path / "AppData" / "Roaming"),
        "LOCALAPPDATA": str(tmp_path / "AppData" / "Local"),
    }
    assert without_project_path({"Path": "bin"}, project) == {"Path": os.devnull}


@only_windows
def test_home_directory_in_two_variables(project: Path, tmp_path: Path) -> None:
    """TRU-13: Git for Windows takes them before USERPROFILE."""
    for home, kept in ((project / "x", False), (tmp_path / "me", True)):
        environ = {"HomeDrive": home.drive, "HOMEPATH": str(home)[2:]}
        assert without_project_path(environ, project) == (environ if kept else {})


@only_windows
def test_folders_of_windows_itself(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRU-13: whatever the variables say."""
    windows = Path(os.environ["SYSTEMROOT"])
    names = ("ComSpec", "SystemDrive", "SystemRoot", "windir")
    usual = {name: os.environ[name].lower() for name in names}
    for name in names:
        monkeypatch.setenv(name, str(project / "x"))
    found = without_project_path(dict.fromkeys(names, str(project / "x")), project)
    assert {name: value.lower() for name, value in found.items()} == usual
    for system in (windows, windows / "System32"):
        assert project_of(system / "cmd.exe", system) is None
        assert without_project_path({"PATH": str(system)}, system) == {"PATH": str(system)}
    below = windows / "Temp" / "unpacked"  # where everyone can write
    assert project_of(below / "tool", below) == below


@only_windows
def test_folder_of_programs_has_words_that_a_project_may_have(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "Files").mkdir()
    monkeypatch.chdir(project)
    usual = {"ProgramFiles": "C:\\Program Files", "ProgramData": "C:\\ProgramData"}
    assert without_project_path(usual) == usual
    assert without_project_path({"PROGRAMDATA": str(project / "data")}) == {}
