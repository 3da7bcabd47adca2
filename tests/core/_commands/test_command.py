"""Commands in configuration: which are valid, where they run, and that a project's runs only unchanged."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from freshkey._commands import helper, pins
from freshkey._commands.command import Command, run_command
from freshkey._commands.pins import file_digest, pinned
from freshkey._files import project_place
from freshkey._text.shell_words import shell_quoted
from freshkey._trust.project_files import ensure_trusted, trust_file
from freshkey.errors import ConfigurationError, TransientError, TrustNeeded
from freshkey.model.interaction import LoggingReporter
from freshkey.secret import Secret
from raises_code import raises_code
from runnable import python


CANARY = "canary-90c1d7a2b6"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    return project


END = os.linesep
HOME = "USERPROFILE" if sys.platform == "win32" else "HOME"
of_posix = pytest.mark.skipif(sys.platform == "win32", reason="the commands are shell scripts, and links lead to them")


def write(path: Path, code: str) -> Path:
    path.write_text(f"#!/bin/sh\n{code}\n", "utf-8")
    path.chmod(0o700)
    return path


def script(path: Path, code: str) -> Path:
    path.write_text(f"{code}\n", "utf-8")
    return path


def trusted(project: Path, *argv: str) -> Command:
    return Command(argv=argv, directory=project, pins=pinned(argv, project))


# --- of the user ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [("op", "read"), (sys.executable,), ["pass"], ("..op",)])
def test_program_by_absolute_path_or_name_is_valid(argv: list[str]) -> None:  # TRU-3
    assert Command.of(argv) == Command(argv=tuple(argv))
    assert hash(Command.of(argv)) == hash(Command(argv=tuple(argv)))


@pytest.mark.parametrize("argv", [[], [""], ["./op"], ["tools/op"], ["../op"], ["."], [".."], ["op", "a\0b"]])
def test_invalid_or_relative_program_is_rejected(argv: list[str]) -> None:  # TRU-3
    with pytest.raises(ValueError):  # noqa: PT011  raised only for this
        Command.of(argv)


def test_version_changes_with_the_program_and_the_files_that_arguments_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}{os.pathsep}{tmp_path / 'second'}")
    tool = "tool.exe" if sys.platform == "win32" else "tool"
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
    argv = ["tool", "~/a.conf", "--config=b.conf", "cat 'c.conf'; echo done", str(tmp_path), "x" * 5000, ""]
    seen = [Command.of(argv).version]
    for path in (f"second/{tool}", f"first/{tool}", "a.conf", "b.conf", "c.conf"):
        write(tmp_path / path, "exit 0")
        seen.append(Command.of(argv).version)
    assert len(set(seen)) == 6
    (tmp_path / "log").touch()
    assert Command.of(argv).version == seen[-1], "a directory changes too often"


def test_version_of_a_project_s_command_is_about_files_in_it(project: Path) -> None:
    command = Command(argv=("sh", "tool"), directory=project)
    before = command.version
    write(project / "tool", "exit 0")
    assert command.version != before


def test_repr_hides_arguments() -> None:  # LEK-1
    command = Command.of(["op", f"--token={CANARY}"])
    assert CANARY not in repr(command)
    assert "'op'" in repr(command)
    assert command.name == "op"


def test_slow_command_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "SLOW", 0.05)
    notices: list[str] = []

    class Ear(LoggingReporter):
        def notice(self, message: str) -> None:
            notices.append(message)

    slow = Command.of(python("time.sleep(0.3); print('hi')"))
    assert run_command(slow) == run_command(slow, reporter=Ear()) == Secret(f"hi{END}")
    (notice,) = notices
    assert notice.startswith(f"{Path(sys.executable).name!r} has been running for ")


def test_command_of_the_user_runs_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    assert run_command(Command.of(python("print(os.getcwd())"))) == Secret(f"{tmp_path.resolve()}{END}")


def test_arguments_are_not_expanded() -> None:
    words = ["~", "$HOME", "*", "`id`", "%OS%"]
    assert run_command(Command.of([*python("print(sys.argv[1:])"), *words])) == Secret(f"{words}{END}")


def test_command_runs_with_the_limits_of_a_helper() -> None:
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        run_command(Command.of(["no-such-program"]))
    assert "'no-such-program' was not found" in caught.value.message
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        run_command(Command.of([str(Path(__file__).parent / "$USER" / "no-such-program")]))
    assert "'no-such-program' contains a variable" in caught.value.message
    listing = Command.of(python("print(os.environ['A'], 'USER' in os.environ)"))
    assert run_command(listing, environ={"PATH": os.environ["PATH"], "A": "b"}) == Secret(f"b False{END}")


# --- of a project -------------------------------------------------------------------------------------------------


def test_command_of_a_project_runs_in_its_directory(project: Path) -> None:
    key = script(project / "key.py", "import os; print(os.getcwd()); print(open('words').read(), end='')")
    (project / "words").write_text("hello")
    command = trusted(project, sys.executable, str(key))
    assert run_command(command) == Secret(f"{project.resolve()}{END}hello")


def change(file: Path) -> None:
    file.write_text("#!/bin/sh\necho evil; touch ran\n")


def change_in_case(file: Path) -> None:
    change(file)
    file.rename(file.with_name(file.name.upper()))


def replace(file: Path) -> None:
    file.unlink()
    file.symlink_to(write(file.with_name("other"), "touch ran"))


def remove(file: Path) -> None:
    file.unlink()


def into_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    "how",
    [change, remove, change_in_case] if sys.platform == "win32" else [change, replace, remove, into_a_pipe],
)
@pytest.mark.parametrize("named", ["{0}/key.sh", "key.sh", "./key.sh", "--from=key.sh", "--from={0}/key.sh"])
def test_changed_file_is_not_run(project: Path, named: str, how: Callable[[Path], None]) -> None:  # TRU-3, FAULT-58
    script = write(project / "key.sh", "echo hello")
    command = trusted(project, "sh", named.format(project))
    assert set(command.pins) == {script}

    how(script)
    with raises_code(TrustNeeded, "trusted-command-changed") as caught:
        run_command(command)
    assert "'sh'" in caught.value.message
    assert "key.sh" in caught.value.message.lower()
    assert f"freshkey trust {shell_quoted(str(project))}" in str(caught.value.hint)
    assert not (project / "ran").exists()


def test_new_file_is_not_run(project: Path) -> None:  # TRU-3
    command = trusted(project, "sh", "later.sh")
    assert command.pins == {}
    write(project / "later.sh", "touch ran")
    with raises_code(TrustNeeded, "trusted-command-changed") as caught:
        run_command(command)
    assert str(project / "later.sh") in caught.value.message
    assert not (project / "ran").exists()


def test_reverted_change_is_no_change(project: Path) -> None:
    key = script(project / "key.py", "print('hello')")
    command = trusted(project, sys.executable, "key.py")
    change(key)
    script(key, "print('hello')")
    assert run_command(command) == Secret(f"hello{END}")


@of_posix
def test_files_outside_are_pinned_if_the_project_leads_to_them(project: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside.sh", "echo hello")
    (project / "link.sh").symlink_to(outside)
    (tmp_path / "alias").symlink_to(project)
    inside = write(project / "inside.sh", "echo hello")

    assert set(pinned(["sh", "../outside.sh", "link.sh"], project)) == {
        project,  # after another directory was entered, the way up would lead to somewhere else in it
        project / "../outside.sh",
        project / "link.sh",
    }
    assert set(pinned([str(tmp_path / "alias" / "inside.sh")], project)) == {tmp_path / "alias" / "inside.sh"}
    assert set(pinned([str(inside)], project)) == {inside}
    # Programs of the system are not: every update changes them, and the project cannot.
    assert pinned([str(outside), "/bin/sh", "sh", "", "a" * 5000, "a\0b"], project) == {}

    command = trusted(project, "sh", "link.sh")
    change(outside)
    with raises_code(TrustNeeded, "trusted-command-changed"):
        run_command(command)


def test_digest_is_the_sha256_of_the_content(project: Path) -> None:
    file = project / "file"
    file.write_bytes(b"abc")
    assert file_digest(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs")
def test_unreadable_file_cannot_be_pinned(project: Path) -> None:
    os.mkfifo(project / "pipe")
    (project / "dangling").symlink_to("nowhere")
    for name in ("pipe", "dangling"):
        with raises_code(ConfigurationError, "unreadable-program") as caught:
            pinned(["sh", name], project)
        assert str(project / name) in caught.value.message


def test_total_size_of_pinned_files_is_limited(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "a").write_bytes(b"x" * 60)
    (project / "b").write_bytes(b"x" * 40)
    (project / "c").write_bytes(b"x")
    monkeypatch.setattr(pins, "MAX_PROGRAM", 100)
    assert len(pinned(["a", "b"], project)) == 2
    with raises_code(ConfigurationError, "unreadable-program") as caught:
        pinned(["a", "b", "c"], project)
    assert str(project / "c") in caught.value.message
    assert "100 bytes" in caught.value.message


# --- of the user, or of a file that a variable names, with files of the current project -------------------------------


@pytest.fixture
def asked(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path | str], None]:
    """Return how trust is asked for in a project that is the working directory; nothing is trusted yet."""
    (project / ".git").mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv(HOME, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return lambda name, path: ensure_trusted(name, path, tmp_path / "state")


def test_paths_are_relative_to_where_the_command_runs_although_the_home_variable_leads_into_the_project(
    project: Path, tmp_path: Path, asked: Callable[[str, Path | str], None], monkeypatch: pytest.MonkeyPatch
) -> None:  # TRU-13
    monkeypatch.setattr(project_place, "_system_home", lambda: tmp_path)
    (project / "folder").mkdir()
    monkeypatch.setenv(HOME, str(project / "folder"))
    tool = script(project / "tool.py", "print('key')")
    command = evolve(Command.of([sys.executable, f"{project.name}/tool.py"]), ensure_own=asked)
    with raises_code(TrustNeeded, "project-file-not-trusted") as caught:
        run_command(command)
    assert str(tool) in caught.value.message
    trust_file(tmp_path / "state", tool)
    assert run_command(command) == Secret(f"key{END}")


FORMS = [["{0}"], ["sh", "{0}"], ["env", "X=1", "{0}"], ["sh", "-c", "exec {0} | cat"], ["{1}/link"], ["sh", "../{2}"]]


@of_posix
@pytest.mark.parametrize("words", FORMS)
@pytest.mark.parametrize("of_project", [True, False])
def test_program_of_the_project_runs_only_as_it_was_trusted_wherever_it_is_set(
    project: Path, tmp_path: Path, asked: Callable[[str, Path | str], None], words: list[str], of_project: bool
) -> None:  # TRU-3, TRU-13
    script = write(project / "tool", "echo key")
    (tmp_path / "home" / "link").symlink_to(script)
    argv = [word.format(script, tmp_path / "home", f"{project.name}/tool") for word in words]
    sources = [(project if of_project else tmp_path) / "config.toml"]
    command = evolve(Command.of(argv), ensure_own=asked, sources=sources)
    if of_project and ".." in argv[-1]:
        with raises_code(TrustNeeded, "project-file-not-trusted"):
            run_command(command)
        return
    with raises_code(TrustNeeded, "project-file-not-trusted") as caught:
        run_command(command)
    assert f"the command {command.name!r}" in caught.value.message
    trust_file(tmp_path / "state", script)
    assert run_command(command) == Secret("key\n")
    change(script)
    with raises_code(TrustNeeded, "project-file-changed"):
        run_command(command)
    assert not (tmp_path / "home" / "ran").exists()


@of_posix
def test_interpreter_of_the_project_counts_too(
    project: Path, tmp_path: Path, asked: Callable[[str, Path | str], None]
) -> None:  # TRU-3
    interpreter = write(project / "interpreter", "echo key")
    script = project / "tool"
    script.write_text(f"#!{interpreter} -x\n")
    script.chmod(0o700)
    trust_file(tmp_path / "state", script)
    with raises_code(TrustNeeded, "project-file-not-trusted") as caught:
        run_command(evolve(Command.of([str(script)]), ensure_own=asked))
    assert str(interpreter) in caught.value.message


@of_posix
@pytest.mark.parametrize("code", ["{0}/to*l", "cd $HOME; {0}/tool", "exec '{0}/to''ol'", "/[p-z]*/x"])
def test_code_that_computes_names_does_not_run_if_a_file_of_the_project_sets_it(
    project: Path, asked: Callable[[str, Path | str], None], tmp_path: Path, code: str
) -> None:  # TRU-3
    command = evolve(Command.of(["sh", "-c", code.format(project)]), ensure_own=asked, sources=[project / "c.toml"])
    with raises_code(TrustNeeded, "project-command-not-plain") as caught:
        run_command(command)
    assert "Move the code to a script" in str(caught.value.hint)
    own = evolve(Command.of(["sh", "-c", "echo `echo x`; $CAT " + str(project)]), ensure_own=asked)
    with raises_code(TransientError, "command-failed"):
        run_command(own)


@pytest.mark.skipif(sys.platform != "win32", reason="batch files and backslashes")
def test_batch_file_of_the_project_runs_only_as_it_was_trusted(
    project: Path, tmp_path: Path, asked: Callable[[str, Path | str], None]
) -> None:  # TRU-3, TRU-13
    tool = project / "tool.cmd"
    tool.write_text("@echo key\n")
    command = evolve(Command.of([str(tool)]), ensure_own=asked)
    with raises_code(TrustNeeded, "project-file-not-trusted"):
        run_command(command)
    trust_file(tmp_path / "state", tool)
    assert run_command(command) == Secret("key\r\n")
    tool.write_text("@echo evil\n")
    with raises_code(TrustNeeded, "project-file-changed"):
        run_command(command)


@of_posix
def test_directory_of_the_project_needs_trust_only_if_a_file_of_the_project_names_it(
    project: Path, asked: Callable[[str, Path | str], None]
) -> None:  # TRU-3
    command = evolve(Command.of(["ls", "-d", str(project)]), ensure_own=asked)
    assert run_command(command) == Secret(f"{project}\n")
    with raises_code(TrustNeeded, "project-file-not-trusted"):
        run_command(evolve(command, sources=[project / "c.toml"]))
