"""Which files are compared before a project's command runs: all that its words name, however they are written."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from freshkey._commands import named_files, pins
from freshkey._commands.command import Command, ensure_unchanged, run_command
from freshkey._commands.pins import pinned
from freshkey.errors import ConfigurationError, TrustNeeded
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code


of_posix = pytest.mark.skipif(sys.platform == "win32", reason="links, FIFOs, modes and directories as descriptors")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name in ("tool", "my tool", "module.py", "pkg/__init__.py", "pkg/sub/main.py", "lib/Hook.pm", "index.js"):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\necho key\n")
        file.chmod(0o700)
    return project


@proves("TRU-3")
@pytest.mark.parametrize(
    ("word", "named"),
    [
        ("tool", "tool"),
        ("./tool", "tool"),
        ("{0}/tool", "tool"),
        ("-c./tool", "tool"),
        ("-ctool", "tool"),
        ("-c{0}/tool", "tool"),
        ("-xvftool", "tool"),
        ("--file=./tool", "tool"),
        ("--file=a:tool", "tool"),
        ("--file=tool:a", "tool"),
        ("--file:tool", "tool"),
        ("--opt=-c./tool", "tool"),
        ("@tool", "tool"),
        ("data=@./tool", "tool"),
        ("KEY=tool", "tool"),
        ("file://{0}/tool", "tool"),
        ("file:tool", "tool"),
        ("file://localhost{0}/tool", "tool"),
        ("file://{0}/my%20tool", "my tool"),
        ("KEY=my tool", "my tool"),
        ("x; ./tool --flag", "tool"),
        ("cat x|./tool>/dev/null", "tool"),
        ('exec "./my tool"', "my tool"),
        ("exec ./my\\ tool", "my tool"),
        ("`./tool`", "tool"),
        ("$(./tool)", "tool"),
        ("$PWD/tool", "tool"),
        ("${{PWD}}/tool", "tool"),
        ("./{{x,tool}}", "tool"),
        ("./../project/tool", "tool"),
        ("module", "module.py"),
        ("-mmodule", "module.py"),
        ("pkg", "pkg"),
        ("pkg.sub.main", "pkg"),
        ("-mpkg.sub", "pkg"),
        ("pkg/", "pkg"),
        ("PYTHONPATH=pkg:x", "pkg"),
        ("cd pkg && python3 sub/main.py", "pkg"),
        ("-Ilib", "lib"),
        ("./index", "index.js"),
        (".", "."),
    ],
)
def test_file_is_compared_however_a_word_names_it(project: Path, word: str, named: str) -> None:
    argv = ("/bin/echo", word.format(project))
    command = Command(argv=argv, directory=project, pins=pinned(argv, project))
    ensure_unchanged(command)
    assert any(file.resolve() == (project / named).resolve() for file in command.pins), command.pins

    changed = project / named
    changed = project / "lib" / "Hook.pm" if named == "lib" else changed
    changed = project / "pkg" / "sub" / "main.py" if named in {"pkg", "."} else changed
    changed.write_text("#!/bin/sh\necho evil\n")
    with raises_code(TrustNeeded, "trusted-command-changed"):
        ensure_unchanged(command)


@pytest.mark.skipif(sys.platform != "win32", reason="words as cmd.exe and PowerShell have them")
@proves("TRU-3")
@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([r".\tool"], "tool"),
        ([r"{0}\tool"], "tool"),
        ([r"{0}\TOOL"], "tool"),
        ([r"--file={0}\tool"], "tool"),
        ([r"--file=a;{0}\tool"], "tool"),
        (["cmd", "/c", r".\tool --flag"], "tool"),
        (["cmd", "/ctool"], "tool"),
        (["cmd", "/c", r"x&.\tool|more"], "tool"),
        (["cmd", "/c", r"%CD%\tool"], "tool"),
        (["powershell", "-File", r".\tool"], "tool"),
        (["powershell", "-File:module"], "module.py"),
        (["powershell", "-Command", r"& .\tool"], "tool"),
        (["powershell", "-EncodedCommand", b64encode(r"& .\tool".encode("utf-16-le")).decode()], "tool"),
        (["python", r"pkg\sub\main.py"], "pkg/sub/main.py"),
        (["pkg.sub.main"], "pkg"),
    ],
)
def test_file_is_compared_however_a_word_names_it_on_windows(project: Path, words: list[str], named: str) -> None:
    argv = [word.format(project) if "{0}" in word else word for word in words]
    assert any(file.resolve() == (project / named).resolve() for file in pinned(argv, project))


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows has drives")
@proves("TRU-3")
@pytest.mark.parametrize(
    "word",
    [
        *("{}", "-jar {}", "-javaagent:{}=options", "{},D:/b/y.jar", "D:/b/y.jar;{};D:/b", '"{}" --flag', "-I{}"),
        *("file:///{}", "file://localhost/{} x", "cmd /c call {}&echo"),
    ],
)
def test_file_on_another_drive_is_named_however_a_word_does(project: Path, word: str) -> None:
    for written in ("Q:/a/x.jar", r"Q:\a\x.jar"):
        assert Path("Q:/a/x.jar") in named_files.named_paths([word.format(written)], project)


@proves("TRU-15")
@pytest.mark.parametrize(
    ("path", "elsewhere"),
    [
        (r"\\server\share\x", True),
        ("//server/share/x", True),
        (r"\\?\UNC\server\share\x", True),
        (r"\\.\pipe\x", True),
        (r"\\.\C:\..\UNC\server\share\x", True),
        ("//?/C:/../UNC/server/share/x", True),
        (r"\\home\projects\x", False),
        (r"C:\x", False),
        (r"\\?\C:\x", False),
        (r"\x", False),
        ("x", False),
    ],
)
def test_paths_that_lead_to_another_computer(path: str, elsewhere: bool) -> None:
    project = PureWindowsPath(r"\\HOME\Projects\mine")
    assert named_files.is_on_another_computer(PureWindowsPath(path), project) is elsewhere


def test_double_slash_of_posix_leads_nowhere_else() -> None:
    assert not named_files.is_on_another_computer(PurePosixPath("//server/x"), PurePosixPath("/project"))


@pytest.mark.skipif(sys.platform != "win32", reason="only Windows connects to look at a path")
@proves("TRU-15")
@pytest.mark.parametrize(
    "word", [r"\\evil.example\share\x", "//evil.example/share/x", "https://evil.example/x", r"-f\\evil.example\s\x"]
)
def test_looking_for_files_connects_to_no_other_computer(
    project: Path, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    for name in ("lstat", "stat", "listdir", "scandir", "open"):
        real = getattr(os, name)

        def watched(path: object, *args: object, real: Callable[..., object] = real, **more: object) -> object:
            touched.append(str(path))
            return real(path, *args, **more)

        monkeypatch.setattr(os, name, watched)
    pinned(["tool-elsewhere", word], project)
    assert touched
    assert [path for path in touched if path.startswith(("\\\\", "//"))] == []


@pytest.mark.skipif(sys.platform != "win32", reason="code as cmd.exe and PowerShell have it")
@proves("TRU-3")
@pytest.mark.parametrize(
    "words",
    [
        ["cmd", "/c", "to^ol"],
        ["cmd", "/v", "/c", "!x!ol"],
        ["cmd", "/c", "%x:~0,2%ol"],
        ["cmd", "/c", "to*"],
        ["powershell", "-Command", "to`ol"],
        ["powershell", "-enc", b64encode("$x".encode("utf-16-le") + b"t\0o\0o\0l\0").decode()],
        ["sh", "-c", r"printf ./to\\157l|sh"],
        [r"..\x"],
        [r"\\localhost\C$\x"],
        ["--file=//localhost/C$/x"],
    ],
)
def test_code_of_windows_that_computes_names_makes_the_whole_project_count(project: Path, words: list[str]) -> None:
    before = pinned(words, project)
    (project / "anything").write_text("new")
    assert pinned(words, project) != before


@pytest.mark.skipif(sys.platform != "win32", reason="paths of Windows")
@pytest.mark.parametrize("word", [r"C:\Windows\System32\cmd.exe", "https://host/x", r"--file=D:\a\@b\-c", "C:\\x\\"])
def test_backslashes_of_a_path_do_not_make_the_project_count(project: Path, word: str) -> None:
    assert pinned(["tool-elsewhere", word], project) == {}


@proves("TRU-3")
@pytest.mark.parametrize(
    "code",
    [
        "./too{l,}",
        "./[^x]ool",
        "~+/tool",
        "$'./\\x74ool'",
        "./[t][o][o][l]*",
        "./[[:alpha:]]ool",
        "./t?ol",
        "a=to; ./${a}ol",
        './to"o"l',
        '# it\'s\n./to"o"l',
        pytest.param("./to\\ol", marks=of_posix),  # a separator on Windows; without it, a name that is compared
        ". li{b,}/x.sh",
        "cd pkg/sub; ../../to*",
        "cd pkg/sub; ../tool",
        "cd ..; exec $OLDPWD/tool",
        "eval `printf ./too; echo l`",
        "exec(open('to' + 'ol').read())",
    ],
)
@pytest.mark.parametrize("words", [["bash", "-c"], ["env", "-S"], ["timeout", "9", "sh", "-ec"], ["xargs", "sh", "-c"]])
def test_code_that_computes_names_makes_the_whole_project_count(project: Path, words: list[str], code: str) -> None:
    argv = [*words, code]
    before = pinned(argv, project)
    (project / "anything").write_text("new")
    assert pinned(argv, project) != before
    (project / "anything").unlink()
    (project / ".git").mkdir()
    assert pinned(argv, project) == before


@proves("TRU-3")
@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["java", "Main"], "Main.class"),
        (["java", "com.example.Main"], "com"),
        (["java", "com/example/Main"], "com/example/Main.class"),
        (["env", "node", "mod"], "mod.node"),
        (["node", "./mod"], "mod.node"),
        (["sh", "-c", "cd ../; exec project/tool"], "tool"),
        (["env", "-C", "{0}/..", "project/tool"], "tool"),
        (["sh", "-c", "cd /; exec {1}/tool"], "tool"),
    ],
)
def test_file_is_compared_though_its_suffix_or_directory_is_missing(project: Path, argv: list[str], named: str) -> None:
    for name in ("Main.class", "mod.node", "com/example/Main.class"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    argv = [word.format(project, str(project)[1:]) for word in argv]
    assert project / named in pinned(argv, project)


@proves("TRU-3")
def test_project_that_is_too_large_for_code_says_to_use_a_script(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "MAX_FILES", 3)
    with raises_code(ConfigurationError, "unreadable-program") as caught:
        pinned(["sh", "-c", "./t*l"], project)
    assert "all files of the project are compared" in caught.value.message
    assert "Move the code to a script" in str(caught.value.hint)
    assert pinned(["sh", "-c", "exec ./tool --flag | cat"], project) == {
        project / "tool": pins.file_digest(project / "tool")
    }


@proves("TRU-3")
@pytest.mark.parametrize(
    "argv",
    [
        ["op", "read", "op://vault/x"],
        ["aws", "--query=Credentials", "sts"],
        ["git", "log", "a..b"],
        ["sh", "-c", "x | y"],
    ],
)
def test_plain_words_do_not_make_the_project_count(project: Path, argv: list[str]) -> None:
    assert pinned(argv, project) == {}


@proves("TRU-3")
@pytest.mark.parametrize("words", [("jq ."), ("-r"), ("."), ("main..next"), ("...")])
def test_point_in_a_word_is_not_the_project(project: Path, words: str) -> None:
    assert pinned(["/bin/sh", "-c", f"echo {words}"], project) == {}


def test_programs_of_the_system_are_not_compared(project: Path) -> None:
    argv = ["/bin/sh", "-c", "cat /etc/passwd | /usr/bin/env - X=/bin/ls:/bin", "file:///etc/hosts", "/", "/etc"]
    assert pinned(argv, project) == {}


@pytest.mark.parametrize(
    "word", ["./" * 100_000, "-" * 100_000, "a=" * 100_000, "/" * 100_000, "*" * 100_000, "'" * 99_999, "a." * 999]
)
def test_long_word_costs_little(project: Path, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []
    exists = named_files._exists

    def counted(path: Path) -> bool:
        looks.append(path)
        return exists(path)

    monkeypatch.setattr(named_files, "_exists", counted)
    pinned(["/bin/sh", word], project)
    assert len(looks) < 10_000


@pytest.mark.parametrize("words", [map(str, range(5000))])
def test_command_with_too_many_parts_is_refused(project: Path, words: Iterable[str]) -> None:
    argv = ["sh", "-c", " ".join(words)]
    with raises_code(ConfigurationError, "unreadable-program") as caught:
        pinned(argv, project)
    assert "too long" in caught.value.message
    assert Command.of(argv).version


@proves("TRU-3")
def test_interpreter_that_a_script_names_is_compared(project: Path) -> None:
    (project / "script").write_text("#!./tool -x\n")
    assert set(pinned(["sh", "script"], project)) == {project / "script", project / "tool"}


def add(folder: Path) -> None:
    (folder / "new").touch()


def remove(folder: Path) -> None:
    (folder / "sub" / "main.py").unlink()


def rename(folder: Path) -> None:
    (folder / "sub" / "main.py").rename(folder / "sub" / "other.py")


def link(folder: Path) -> None:
    (folder / "sub" / "main.py").unlink()
    (folder / "sub" / "main.py").symlink_to(folder.parent / "tool")


@proves("TRU-3")
@pytest.mark.parametrize("change", [add, remove, rename, pytest.param(link, marks=of_posix)])
def test_any_change_in_a_named_directory_counts(project: Path, change: Callable[[Path], None]) -> None:
    before = pinned(["python3", "-m", "pkg"], project)
    assert set(before) == {project / "pkg"}
    (project / "pkg" / ".git").mkdir()
    assert pinned(["python3", "-m", "pkg"], project) == before
    change(project / "pkg")
    assert pinned(["python3", "-m", "pkg"], project) != before


@of_posix
@proves("TRU-3")
def test_change_behind_a_link_in_a_named_directory_counts(project: Path) -> None:
    (project / "pkg" / "file").symlink_to("../tool")
    (project / "pkg" / "folder").symlink_to("../lib")
    (project / "pkg" / "up").symlink_to("..")
    (project / "pkg" / "dangling").symlink_to("nowhere")
    os.mkfifo(project / "pkg" / "pipe")
    for changed in (project / "tool", project / "lib" / "Hook.pm"):
        before = pinned(["node", "pkg"], project)
        changed.write_text("evil")
        assert pinned(["node", "pkg"], project) != before


@of_posix
def test_named_directory_is_walked_to_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `build` with thousands of files is compared before each run of a command with that word."""
    walks: list[str] = []
    open_file = os.open

    def opened(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        walks.extend([path] if path == os.sep else [])
        return open_file(path, flags, mode, dir_fd=dir_fd)

    def count() -> int:
        walks.clear()
        pinned(["node", "pkg"], project)
        return len(walks)

    monkeypatch.setattr(os, "open", opened)
    before = count()
    for number in range(20):
        (project / "pkg" / "sub" / f"{number}" / "below").mkdir(parents=True)
        (project / "pkg" / "sub" / f"{number}" / "below" / "file").touch()
    assert count() == before


@of_posix
@proves("TRU-9")
@pytest.mark.parametrize("name", ["sub", "sub/main.py"])
def test_what_others_can_change_in_a_named_directory_is_refused(project: Path, name: str) -> None:
    (project / "pkg" / name).chmod(0o777)
    with raises_code(ConfigurationError, "unsafe-program") as caught:
        pinned(["node", "pkg"], project)
    assert f"other users can change {project / 'pkg' / name}" in caught.value.message


def test_named_directory_of_any_depth_is_an_answer(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "MAX_DEPTH", 2)
    assert pinned(["node", "pkg"], project)
    (project / "pkg" / "sub" / "more" / "more").mkdir(parents=True)
    with raises_code(ConfigurationError, "unreadable-program") as caught:
        pinned(["node", "pkg"], project)
    assert "nested too deeply" in caught.value.message


def test_number_of_files_in_named_directories_is_limited(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins, "MAX_FILES", 3)
    assert pinned(["node", "pkg"], project)
    with raises_code(ConfigurationError, "unreadable-program") as caught:
        pinned(["node", "pkg", "lib"], project)
    assert "more than 3 files" in caught.value.message


def test_python_leaves_no_cache_in_a_directory_that_was_compared(project: Path) -> None:
    (project / "pkg" / "__init__.py").write_text("")
    (project / "pkg" / "__main__.py").write_text("import pkg.sub.main\nprint('key')\n")
    (project / "pkg" / "sub" / "main.py").write_text("")
    argv = (sys.executable, "-m", "pkg")
    command = Command(argv=argv, directory=project, pins=pinned(argv, project))
    assert run_command(command) == run_command(command) == Secret(f"key{os.linesep}")
