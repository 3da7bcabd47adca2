"""A project's file: where it is searched for, and that everything it must not set is an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

import attrs
import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from freshkey._commands.command import Command
from freshkey._config.configuration import Configuration
from freshkey._config.project import FILE_NAME, Project, Wishes, find, load
from freshkey._files.project_place import REPOSITORIES
from freshkey._text.shell_words import shell_quoted
from freshkey.errors import ConfigurationError, FreshkeyError, TrustNeeded
from freshkey.model.description import Description
from raises_code import raises_code
from second_user import SecondUser
from typed_profile import typed


@frozen(kw_only=True)
class Settings:
    client_id: str | None = None
    token_url: str | None = None
    headers: Mapping[str, str] = attrs.Factory(dict)
    proxy: str | None = None
    region: str = field(default="here", metadata={"project": True})
    helper: Command | None = None
    other: Command = field(factory=lambda: Command(argv=("true",)))


PROVIDER = Description(title="A provider", settings=Settings, formats={}, sources=())

OWN = """
default = "me"
[profiles.me]
provider = "p"
[profiles.second]
provider = "p"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path.resolve() / "home"
    for directory in (home, home / "config"):
        directory.mkdir(mode=0o700)
    monkeypatch.setenv(HOME, str(home))
    (home / "config" / "config.toml").write_text(OWN)
    (home / "config" / "config.toml").chmod(0o600)
    return home


HOME = "USERPROFILE" if sys.platform == "win32" else "HOME"
SH, NO_SUCH = ("cmd", "C:/no/such") if sys.platform == "win32" else ("sh", "/no/such")
with_links = pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
with_modes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")

Write = Callable[..., Configuration]


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project's directory, which is the working directory."""
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    project.chmod(0o700)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def write(home: Path, project: Path) -> Write:
    """Return a function that writes the project's file and loads a new configuration."""

    def write(text: str, **environ: str) -> Configuration:
        (project / FILE_NAME).write_text(text)
        (project / FILE_NAME).chmod(0o600)
        places = {"FRESHKEY_CONFIG_DIR": str(home / "config"), "FRESHKEY_STATE_DIR": str(home / "state")}
        return Configuration.load(places | environ)

    return write


def trusting(project: Project, profile: str, wishes: Wishes) -> Mapping[str, Command]:
    return {key: project.command(profile, key, one) for key, one in wishes.commands.items()}


# --- where it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "start", "found"),
    [
        ("home/a/b", "home/a/b", True),
        ("home/a", "home/a/b", True),
        ("home", "home/a/b", True),
        ("", "home/a/b", False),  # above the home directory
        ("home/repo", "home/repo/x/y", True),
        ("home", "home/repo/x", False),  # above the root of the repository
        ("", "", False),  # the parent of the home directory
        ("srv/a", "srv/a", True),
        ("srv", "srv/a", False),  # neither a repository nor a home directory above: only the directory itself
        ("srv/repo", "srv/repo/x", True),
    ],
)
def test_search_goes_up_to_the_repository_or_home_directory(tmp_path: Path, file: str, start: str, found: bool) -> None:
    for directory in ("home/a/b", "home/repo/x/y", "home/repo/.git", "srv/a", "srv/repo/x", "srv/repo/.git"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / file / FILE_NAME).touch()
    assert find(tmp_path / start, tmp_path / "home") == (tmp_path / file / FILE_NAME if found else None)


def test_nearest_file_wins(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "a"):
        (directory / FILE_NAME).touch()
    (tmp_path / ".git").touch()  # a file, as in a worktree
    assert find(tmp_path / "a" / "b", None) == tmp_path / "a" / FILE_NAME
    (tmp_path / "a" / FILE_NAME).unlink()
    assert find(tmp_path / "a" / "b", None) == tmp_path / FILE_NAME


@pytest.mark.parametrize("marker", REPOSITORIES)
def test_search_ends_at_the_root_of_every_kind_of_checkout(tmp_path: Path, marker: str) -> None:
    """TRU-13: the directories of one checkout have one file."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "a"):
        (directory / FILE_NAME).touch()
    (tmp_path / "a" / "b" / "Makefile").touch()  # no checkout of its own
    (tmp_path / "a" / marker).touch()
    assert find(tmp_path / "a" / "b", None) == tmp_path / "a" / FILE_NAME
    (tmp_path / "a" / FILE_NAME).unlink()
    assert find(tmp_path / "a" / "b", None) is None


def test_file_of_another_user_above_does_not_count(open_tmp_path: Path, second_user: SecondUser) -> None:
    """TRU-13: nobody stops the user's commands with a file in a directory of everyone."""
    mine = open_tmp_path / "mine"
    mine.mkdir()
    open_tmp_path.chmod(0o1777)
    second_user.run("pathlib.Path(sys.argv[1]).write_text('profile = \"me\"')", open_tmp_path / FILE_NAME)
    second_user.run("pathlib.Path(sys.argv[1]).mkdir()", open_tmp_path / ".git")
    assert find(mine, None) is None
    assert find(mine, open_tmp_path) is None
    assert find(open_tmp_path, None) == open_tmp_path / FILE_NAME  # to be refused, when it is read


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove the directory that a program works in")
def test_deleted_working_directory_has_no_project(home: Path, write: Write, project: Path) -> None:
    configuration = write("")
    for entry in (project / FILE_NAME, project / ".git"):
        entry.unlink() if entry.is_file() else entry.rmdir()
    project.rmdir()
    assert configuration.project is None
    assert configuration.select().name == "me"


@pytest.mark.parametrize("variable", ["relative/home", ""])
def test_repository_is_enough_without_a_home_directory(
    write: Write, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME, variable)
    assert write('profile = "second"').select().name == "second"


# --- when it is read -----------------------------------------------------------------------------------------------


def test_project_selects_a_profile_of_the_user(write: Write, project: Path) -> None:
    selection = write('\nprofile = "second"').select()
    assert selection.name == "second"
    assert selection.selected_by == f"profile in {project / FILE_NAME}, line 2"


def test_precedence_of_places_that_name_a_profile(write: Write) -> None:
    configuration = write('profile = "second"', FRESHKEY_PROFILE="third")
    assert configuration.select("first").name == "first"
    assert configuration.select().name == "third"
    assert [(one.place, one.found, one.wins) for one in configuration.choices("first")] == [
        ("argument", "first", True),
        ("FRESHKEY_PROFILE", "third", False),
        (".freshkey.toml", "second", False),
        ("default", "me", False),
    ]
    assert write('profile = "second"').select().name == "second"
    assert write("").select().name == "me"


def test_file_is_not_read_for_a_profile_of_the_user(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = write("this is not TOML")
    assert configuration.select("me").name == "me"
    assert typed(configuration, "me", PROVIDER).settings == Settings()
    assert write("this is not TOML", FRESHKEY_PROFILE="second").select().name == "second"
    monkeypatch.setattr("freshkey._config.project.find", lambda *_: pytest.fail("it was searched for"))
    assert typed(configuration, configuration.select("me").name, PROVIDER).name == "me"


def test_broken_file_after_the_selecting_place_is_reported_but_not_raised(write: Write) -> None:
    walk = write("profil = 1").choices("me")
    assert (walk[2].found, walk[2].wins) == (None, False)
    assert "'profil'" in walk[2].why
    with raises_code(ConfigurationError, "not-allowed-in-project") as caught:
        write("profil = 1").choices()
    assert "'profile'" in str(caught.value.hint)


def test_configuration_from_code_and_bare_mode_have_no_project(write: Write, tmp_path: Path) -> None:
    write('profile = "second"')
    assert Configuration.of({}, state_dir=tmp_path, default="me").select().name == "me"
    bare = Configuration.load({"FRESHKEY_PROFILE": ""}, bare=True)
    assert bare.project is None
    assert attrs.evolve(write('profile = "second"'), bare=True).project is None


def test_file_is_read_once(write: Write, project: Path) -> None:
    configuration = write('profile = "second"')
    assert configuration.select().name == "second"
    (project / FILE_NAME).write_text('profile = "me"')
    assert configuration.select().name == "second"


# --- what it can set -----------------------------------------------------------------------------------------------


def test_project_defines_its_own_profile(write: Write, project: Path) -> None:
    configuration = write('profile = "ci"\n[profiles.ci]\nprovider = "p"\nsource = "env"\nregion = "north"')
    assert configuration.profile_names() == ("me", "second")
    assert configuration.project is not None
    assert configuration.project.profile_names() == ("ci",)
    profile = typed(configuration, configuration.select().name, PROVIDER, trusting)
    assert (profile.name, profile.provider, profile.source, profile.store) == ("ci", "p", "env", None)
    assert profile.project_dir == project
    assert profile.settings == Settings(region="north")
    reserved = configuration.table("ci", reserved=lambda: ["CI"])
    assert (reserved.project, reserved.defined) == (None, False)


@pytest.mark.parametrize(
    ("text", "line", "code", "fact"),
    [
        ('default = "me"', 1, "not-allowed-in-project", "'default'"),
        ('observers = ["x"]', 1, "not-allowed-in-project", "'observers'"),
        ("[stores.file]\nkey_file = 'x'", 1, "not-allowed-in-project", "'stores'"),
        ('profile = ["me"]', 1, "invalid-setting", "'profile'"),
        ('profile = ""', 1, "invalid-setting", "'profile'"),
        ("profiles = 3", 1, "invalid-setting", "[profiles.NAME]"),
        ("[profiles]\nci = 3", 2, "invalid-setting", "[profiles.ci]"),
        ('[profiles."../ci"]', 1, "invalid-name", "'../ci'"),
        ('[profiles.me]\nprovider = "p"', 1, "invalid-name", "config/config.toml defines 'me'"),
        ('[profiles.ME]\nprovider = "p"', 1, "invalid-name", "config/config.toml defines 'me'"),
        ("[profiles.ci]", 1, "invalid-setting", "provider = "),
        ('[profiles.P]\nprovider = "p"', 1, "invalid-name", "'P'"),
        ("[profiles.ci]\nprovider = 3", 2, "invalid-setting", "'provider'"),
        ('[profiles.ci]\nprovider = "p"\nsource = []', 3, "invalid-setting", "'source'"),
        ('[profiles.ci]\nprovider = "p"\nstore = "file"', 3, "not-allowed-in-project", "'store'"),
        ('[profiles.ci]\nprovider = "p"\nskip = ["a"]', 3, "not-allowed-in-project", "'skip'"),
        ('[profiles.ci]\nprovider = "p"\nlead = 1', 3, "not-allowed-in-project", "'lead'"),
        ('[profiles.ci]\nprovider = "p"\nredirect_port = 8085', 3, "not-allowed-in-project", "'redirect_port'"),
        ('[profiles.ci]\nprovider = "p"\nclient_id = "x"', 3, "not-allowed-in-project", "'client_id'"),
        ('[profiles.ci]\nprovider = "p"\ntoken_url = "https://x"', 3, "not-allowed-in-project", "'token_url'"),
        ('[profiles.ci]\nprovider = "p"\nproxy = "http://x"', 3, "not-allowed-in-project", "'proxy'"),
        ('[profiles.ci]\nprovider = "p"\nheaders = { a = "b" }', 3, "not-allowed-in-project", "'headers'"),
        ('[profiles.ci]\nprovider = "p"\nnonsense = 1', 3, "not-allowed-in-project", "'nonsense'"),
        ('[profiles.ci]\nprovider = "p"\nregoin = "x"', 3, "not-allowed-in-project", "'region'"),
        ('[profiles.ci]\nprovider = "p"\nregion = 3', 3, "invalid-setting", "'region'"),
        ('[profiles.ci]\nprovider = "p"\nhelper = "op read"', 3, "invalid-setting", "'helper' must be a list"),
        ('[profiles.ci]\nprovider = "p"\nhelper = []', 3, "invalid-setting", "'helper' must be a list"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["x", 1]', 3, "invalid-setting", "'helper' must be a list"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["../sh"]', 3, "invalid-command", "'helper'"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["./a/../../sh"]', 3, "invalid-command", "'helper'"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["./no"]', 3, "command-not-runnable", "'no'"),
        (f'[profiles.ci]\nprovider = "p"\nhelper = ["{NO_SUCH}"]', 3, "command-not-runnable", "'such'"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["no-such-program"]', 3, "command-not-runnable", "'no-such-program'"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["./.freshkey.toml"]', 3, "command-not-runnable", "'.freshkey.toml'"),
        pytest.param(
            *(
                '[profiles.ci]\nprovider = "p"\nhelper = ["sh", "./nowhere"]',
                3,
                "unreadable-program",
                "project/nowhere",
            ),
            marks=with_links,
        ),
    ],
)
def test_everything_else_is_an_error_with_its_line(write: Write, text: str, line: int, code: str, fact: str) -> None:
    configuration = write(text)
    if "nowhere" in text:
        Path("nowhere").symlink_to("gone")
    with raises_code(ConfigurationError, code) as caught:
        typed(configuration, configuration.select(None).name if "[" not in text else "ci", PROVIDER, trusting)
    assert not isinstance(caught.value, TrustNeeded)
    assert f"/project/.freshkey.toml, line {line}: " in caught.value.message.replace(os.sep, "/")
    assert fact in str(caught.value).replace(os.sep, "/")


def test_error_says_what_is_allowed_and_where_to_set_the_rest(write: Write, home: Path) -> None:  # TRU-5
    with raises_code(ConfigurationError, "not-allowed-in-project") as caught:
        typed(write('[profiles.ci]\nprovider = "p"\ntoken_url = "https://x"'), "ci", PROVIDER)
    assert str(home / "config" / "config.toml") in str(caught.value.hint)
    assert "helper, other, provider, region, source" in str(caught.value.hint)


def test_provider_that_is_not_installed_is_named_with_its_line(write: Write) -> None:
    configuration = write('[profiles.ci]\nprovider = "exmaple"')
    error = configuration.unknown(configuration.table("ci"), ["example"])
    assert error.code == "unknown-plugin"
    assert str(Path("project", ".freshkey.toml, line 2: ")) in error.message
    assert "'exmaple'" in error.message
    assert "'example'" in str(error.hint)


def link(file: Path) -> None:
    file.rename(file.with_name("real"))
    file.symlink_to("real")


def grow(file: Path) -> None:
    file.write_text("#" * 300_000)


def into_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def into_a_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("how", "code", "fact"),
    [
        pytest.param(link, "unreadable-configuration", "symbolic link", marks=with_links),
        (grow, "unreadable-configuration", "larger than"),
        pytest.param(into_a_pipe, "unreadable-configuration", "regular file", marks=with_modes),
        (into_a_directory, "unreadable-configuration", "cannot read"),
        pytest.param(lambda file: file.chmod(0o622), "unsafe-configuration", "chmod go-w", marks=with_modes),
        pytest.param(lambda file: file.parent.chmod(0o777), "unsafe-configuration", "chmod go-w", marks=with_modes),
        pytest.param(lambda file: os.chown(file, 12345, -1), "unsafe-configuration", "12345", marks=with_modes),
        pytest.param(lambda file: os.chown(file.parent, 12345, -1), "unsafe-configuration", "12345", marks=with_modes),
        (lambda file: file.write_bytes(b"\xff"), "invalid-toml", "UTF-8"),
        (lambda file: file.write_text("x = "), "invalid-toml", "end of document"),
    ],
    ids=range(10),
)
def test_unreadable_or_unsafe_file_is_rejected(
    write: Write, project: Path, how: Callable[[Path], None], code: str, fact: str
) -> None:
    configuration = write("x = 1")
    try:
        how(project / FILE_NAME)
    except PermissionError:
        pytest.skip("only root can change the owner of a file")
    with raises_code(ConfigurationError, code) as caught:
        configuration.select()
    assert fact in str(caught.value)
    assert "chown" not in str(caught.value.hint)  # what another user wrote would become the user's own


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root can read any file")
def test_file_without_read_permission_is_rejected(write: Write, project: Path) -> None:
    configuration = write("x = 1")
    (project / FILE_NAME).chmod(0o000)
    with raises_code(ConfigurationError, "unreadable-configuration"):
        configuration.select()


# --- commands ------------------------------------------------------------------------------------------------------


# The name is one that Windows starts, too.
HELPER = '[profiles.ci]\nprovider = "p"\nhelper = ["./tools/key.cmd", "--all", "words"]\n'


def test_command_is_resolved_and_pinned_and_needs_trust(write: Write, project: Path) -> None:  # TRU-3
    (project / "tools").mkdir()
    script = project / "tools" / "key.cmd"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    (project / "words").write_text("x")
    configuration = write(HELPER)

    with raises_code(TrustNeeded, "trust-required") as caught:
        typed(configuration, "ci", PROVIDER)
    assert caught.value.profile == "ci"
    assert " helper," in caught.value.message
    assert f"freshkey trust {shell_quoted(str(project))}" in str(caught.value.hint)

    settings = typed(configuration, "ci", PROVIDER, trusting).settings_as(Settings)
    assert settings.helper is not None
    assert settings.helper.argv == (str(script), "--all", "words")
    assert settings.helper.directory == project
    assert set(settings.helper.pins) == {script, project / "words"}


@pytest.mark.usefixtures("project")
def test_command_from_an_override_needs_no_trust_but_others_in_the_file_do(write: Write) -> None:
    written = write('[profiles.ci]\nprovider = "p"\nhelper = ["no-such-program"]\n')
    mine = evolve(written, overrides={"helper": [sys.executable], "client_id": "mine"})

    settings = typed(mine, "ci", PROVIDER).settings_as(Settings)
    assert settings.helper is not None
    assert (settings.helper.argv, settings.client_id) == ((sys.executable,), "mine")

    written = write('[profiles.ci]\nprovider = "p"\nhelper = ["no-such-program"]\nother = ["neither"]\n')
    with raises_code(TrustNeeded, "trust-required") as caught:
        typed(evolve(written, overrides={"helper": [sys.executable]}), "ci", PROVIDER)
    assert " other," in caught.value.message
    assert "helper" not in caught.value.message


@pytest.mark.usefixtures("project")
@pytest.mark.skipif(sys.platform != "win32", reason="only Windows connects to look at a path")
@pytest.mark.parametrize("program", ["//evil.example/share/x", r"\\\\evil.example\\share\\x.exe"])
def test_program_on_another_computer_is_refused_without_looking(
    write: Write, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:  # TRU-15
    monkeypatch.setattr("freshkey._config.project.find_program", lambda *_: pytest.fail("looked"))
    written = write(f'[profiles.ci]\nprovider = "p"\nhelper = ["{program}"]\n')
    with raises_code(ConfigurationError, "invalid-command") as caught:
        typed(written, "ci", PROVIDER, trusting)
    assert "another computer" in caught.value.message


def test_program_on_path_is_found_once(write: Write, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    for name in ("sh", "cmd.com", "cmd.exe"):
        (project / name).write_text("#!/bin/sh\n")
        (project / name).chmod(0o700)
    text = '[profiles.ci]\nprovider = "p"\nhelper = ["{}"]'
    helper = typed(write(text.format(SH)), "ci", PROVIDER, trusting).settings_as(Settings).helper
    assert helper is not None
    assert PurePath(helper.argv[0]).is_absolute()
    assert not PurePath(helper.argv[0]).is_relative_to(project)
    if sys.platform != "win32":  # where options begin with a slash, so the file after it could be the value of one
        assert helper.pins == {}
    monkeypatch.setenv("PATH", f".{os.pathsep}")
    with raises_code(ConfigurationError, "command-not-runnable"):
        typed(write(text.format(SH)), "ci", PROVIDER, trusting)


def test_digest_depends_on_the_text_but_not_on_line_endings(write: Write) -> None:
    one, other = write('profile = "a"').project, write('profile = "b"').project
    same = write('profile = "a"\r\n'.removesuffix("\r\n")).project
    assert one is not None
    assert other is not None
    assert same is not None
    assert one.digest == same.digest != other.digest


@given(st.dictionaries(st.text(max_size=8), st.booleans() | st.text(max_size=8) | st.lists(st.text(max_size=4))))
def test_any_table_has_only_allowed_keys_or_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]
) -> None:
    import json

    file = tmp_path_factory.mktemp("any", numbered=True) / FILE_NAME
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items()]
    file.write_text("\n".join(["[profiles.ci]", 'provider = "p"', *lines]), "utf-8")
    file.chmod(0o600)
    try:
        project = load(file, own=["me"], configuration=Path("config.toml"))
        project.wishes("ci", Settings)
    except FreshkeyError:
        return
    assert set(project.table("ci") or {}) <= {"provider", "source", "region", "helper", "other"}
