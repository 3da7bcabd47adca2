"""A project's file: where it is looked for, what it may say, and that nothing else in it has any effect."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from freshkey._commands.command import Command
from freshkey._config.configuration import Configuration
from freshkey._config.project import FILE_NAME, Project, Words, find, load
from freshkey.errors import ConfigurationError, FreshkeyError, TrustNeeded
from freshkey.model.description import Description
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
    monkeypatch.setenv("HOME", str(home))
    (home / "config" / "config.toml").write_text(OWN)
    (home / "config" / "config.toml").chmod(0o600)
    return home


Write = Callable[..., Configuration]


@pytest.fixture
def project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project's directory, in which this process works."""
    project = home / "project"
    (project / ".git").mkdir(parents=True)
    project.chmod(0o700)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def write(home: Path, project: Path) -> Write:
    """Return what writes the project's file and reads all configuration anew."""

    def write(text: str, **environ: str) -> Configuration:
        (project / FILE_NAME).write_text(text)
        (project / FILE_NAME).chmod(0o600)
        places = {"FRESHKEY_CONFIG_DIR": str(home / "config"), "FRESHKEY_STATE_DIR": str(home / "state")}
        return Configuration.load(places | environ)

    return write


def trusting(project: Project, profile: str, words: Words) -> Mapping[str, Command]:
    return {key: project.command(profile, key, one) for key, one in words.items()}


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
        ("", "", False),  # the home directory's parent itself
        ("srv/a", "srv/a", True),
        ("srv", "srv/a", False),  # neither a repository nor a home: the directory alone
        ("srv/repo", "srv/repo/x", True),
    ],
)
def test_it_is_looked_for_up_to_the_repository_or_the_home_directory(
    tmp_path: Path, file: str, start: str, found: bool
) -> None:
    for directory in ("home/a/b", "home/repo/x/y", "home/repo/.git", "srv/a", "srv/repo/x", "srv/repo/.git"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / file / FILE_NAME).touch()
    assert find(tmp_path / start, tmp_path / "home") == (tmp_path / file / FILE_NAME if found else None)


def test_the_nearest_counts(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for directory in (tmp_path, tmp_path / "a"):
        (directory / FILE_NAME).touch()
    (tmp_path / ".git").touch()  # that of a worktree is a file
    assert find(tmp_path / "a" / "b", None) == tmp_path / "a" / FILE_NAME
    (tmp_path / "a" / FILE_NAME).unlink()
    assert find(tmp_path / "a" / "b", None) == tmp_path / FILE_NAME


def test_a_working_directory_that_was_removed_has_no_project(home: Path, write: Write, project: Path) -> None:
    configuration = write("")
    for entry in (project / FILE_NAME, project / ".git"):
        entry.unlink() if entry.is_file() else entry.rmdir()
    project.rmdir()
    assert configuration.project is None
    assert configuration.select().name == "me"


@pytest.mark.parametrize("variable", ["relative/home", ""])
def test_without_a_home_directory_the_repository_is_enough(
    write: Write, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", variable)
    assert write('profile = "second"').select().name == "second"


# --- when it is read -----------------------------------------------------------------------------------------------


def test_it_selects_a_profile_of_the_user(write: Write, project: Path) -> None:
    selection = write('\nprofile = "second"').select()
    assert selection.name == "second"
    assert selection.selected_by == f"profile in {project / FILE_NAME}, line 2"


def test_the_order_of_what_names_a_profile(write: Write) -> None:
    configuration = write('profile = "second"', FRESHKEY_PROFILE="third")
    assert configuration.select("first").name == "first"
    assert configuration.select().name == "third"
    assert [(one.place, one.found, one.wins) for one in configuration.choices("first")] == [
        ("name given", "first", True),
        ("FRESHKEY_PROFILE", "third", False),
        (".freshkey.toml", "second", False),
        ("default", "me", False),
    ]
    assert write('profile = "second"').select().name == "second"
    assert write("").select().name == "me"


def test_a_name_that_the_user_knows_never_reads_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = write("this is no TOML")
    assert configuration.select("me").name == "me"
    assert typed(configuration, "me", PROVIDER).settings == Settings()
    assert write("this is no TOML", FRESHKEY_PROFILE="second").select().name == "second"
    monkeypatch.setattr("freshkey._config.project.find", lambda *_: pytest.fail("it was looked for"))
    assert typed(configuration, configuration.select("me").name, PROVIDER).name == "me"


def test_a_broken_one_behind_the_winner_is_told_of_and_harms_nothing(write: Write) -> None:
    walk = write("profil = 1").choices("me")
    assert (walk[2].found, walk[2].wins) == (None, False)
    assert "a project's file cannot say that: 'profil'" in walk[2].why
    with pytest.raises(ConfigurationError, match=r"'profil'\. Did you mean 'profile'"):
        write("profil = 1").choices()


def test_configuration_in_code_and_bare_mode_have_no_project(write: Write, tmp_path: Path) -> None:
    write('profile = "second"')
    assert Configuration.of({}, state_dir=tmp_path, default="me").select().name == "me"
    bare = Configuration.load({"FRESHKEY_PROFILE": ""}, bare=True)
    assert bare.project is None
    assert attrs.evolve(write('profile = "second"'), bare=True).project is None


def test_it_is_read_once(write: Write, project: Path) -> None:
    configuration = write('profile = "second"')
    assert configuration.select().name == "second"
    (project / FILE_NAME).write_text('profile = "me"')
    assert configuration.select().name == "second"


# --- what it may say -----------------------------------------------------------------------------------------------


def test_a_profile_of_its_own(write: Write, project: Path) -> None:
    configuration = write('profile = "ci"\n[profiles.ci]\nprovider = "p"\nsource = "env"\nregion = "north"')
    assert configuration.profile_names() == ("me", "second")
    assert configuration.project is not None
    assert configuration.project.profile_names() == ("ci",)
    profile = typed(configuration, configuration.select().name, PROVIDER)
    assert (profile.name, profile.provider, profile.source, profile.store) == ("ci", "p", "env", None)
    assert profile.settings == Settings(region="north")
    reserved = configuration.table("ci", reserved=lambda: ["CI"])
    assert (reserved.project, reserved.defined) == (None, False)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('default = "me"', 1, "a project's file cannot say that: 'default'. Known names: profile, profiles"),
        ('observers = ["x"]', 1, "cannot say that: 'observers'"),
        ("[stores.file]\nkey_file = 'x'", 1, "cannot say that: 'stores'"),
        ('profile = ["me"]', 1, "'profile' must be a string"),
        ('profile = ""', 1, "'profile' must be a string"),
        ("profiles = 3", 1, r"'profiles' must be a table. Write \[profiles.NAME\]"),
        ("[profiles]\nci = 3", 2, r"'profiles.ci' must be a table"),
        ('[profiles."../ci"]', 1, "'../ci' cannot be a name"),
        ('[profiles.me]\nprovider = "p"', 1, "cannot define profile 'me', because 'me' is in .*config.toml"),
        ('[profiles.ME]\nprovider = "p"', 1, "cannot define profile 'ME', because 'me' is in .*config.toml"),
        ("[profiles.ci]", 1, "profile 'ci' must say which provider it is for"),
        ('[profiles.P]\nprovider = "p"', 1, "and not be named like it"),
        ("[profiles.ci]\nprovider = 3", 2, "'provider' must be a string"),
        ('[profiles.ci]\nprovider = "p"\nsource = []', 3, "'source' must be a string"),
        ('[profiles.ci]\nprovider = "p"\nstore = "file"', 3, "cannot say that: 'store'"),
        ('[profiles.ci]\nprovider = "p"\nskip = ["a"]', 3, "cannot say that: 'skip'"),
        ('[profiles.ci]\nprovider = "p"\nlead = 1', 3, "cannot say that: 'lead'"),
        ('[profiles.ci]\nprovider = "p"\nclient_id = "x"', 3, "cannot say that: 'client_id'"),
        ('[profiles.ci]\nprovider = "p"\ntoken_url = "https://x"', 3, "cannot say that: 'token_url'"),
        ('[profiles.ci]\nprovider = "p"\nproxy = "http://x"', 3, "cannot say that: 'proxy'"),
        ('[profiles.ci]\nprovider = "p"\nheaders = { a = "b" }', 3, "cannot say that: 'headers'"),
        ('[profiles.ci]\nprovider = "p"\nnonsense = 1', 3, "cannot say that: 'nonsense'"),
        ('[profiles.ci]\nprovider = "p"\nregoin = "x"', 3, "cannot say that: 'regoin'. Did you mean 'region'"),
        ('[profiles.ci]\nprovider = "p"\nregion = 3', 3, "'region' must be a string"),
        ('[profiles.ci]\nprovider = "p"\nhelper = "op read"', 3, "'helper' must be a list of strings"),
        ('[profiles.ci]\nprovider = "p"\nhelper = []', 3, "'helper' must be a list of strings"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["sh", 1]', 3, "'helper' must be a list of strings"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["../sh"]', 3, "outside of the project by a relative path"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["./a/../../sh"]', 3, "outside of the project"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["./no"]', 3, "'helper': 'no' is not there, or is no program"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["/no/such"]', 3, "'such' is not there"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["no-such-program"]', 3, "'no-such-program' is not there"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["./.freshkey.toml"]', 3, "is not there, or is no program"),
        ('[profiles.ci]\nprovider = "p"\nhelper = ["sh", "./nowhere"]', 3, "'helper': .*nowhere cannot be read"),
    ],
)
def test_all_else_is_an_error_with_its_place(write: Write, project: Path, text: str, line: int, says: str) -> None:
    (project / "nowhere").symlink_to("gone")
    configuration = write(text)
    with pytest.raises(ConfigurationError, match=rf"/project/\.freshkey\.toml, line {line}: .*{says}") as caught:
        typed(configuration, configuration.select(None).name if "[" not in text else "ci", PROVIDER, trusting)
    assert not isinstance(caught.value, TrustNeeded)


def test_the_error_says_where_it_may_be_said(write: Write, home: Path) -> None:  # TRU-5
    with pytest.raises(ConfigurationError, match=f"All else belongs into {home}/config/config.toml"):
        typed(write('[profiles.ci]\nprovider = "p"\ntoken_url = "https://x"'), "ci", PROVIDER)


def test_a_provider_that_is_not_installed_is_told_with_its_line(write: Write) -> None:
    configuration = write('[profiles.ci]\nprovider = "exmaple"')
    error = configuration.unknown(configuration.table("ci"), ["example"])
    assert re.search(r"project/.freshkey.toml, line 2: .*'exmaple' installed. Did you mean 'example'", str(error))


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
    ("how", "says"),
    [
        (link, "is a symbolic link"),
        (grow, "is larger than"),
        (into_a_pipe, "is not a regular file"),
        (into_a_directory, "cannot be read"),
        (lambda file: file.chmod(0o000), "cannot be read|line 1"),
        (lambda file: file.chmod(0o622), "can be changed by others"),
        (lambda file: file.parent.chmod(0o777), "can be changed by others"),
        (lambda file: os.chown(file, 12345, -1), "belongs to somebody else"),
        (lambda file: os.chown(file.parent, 12345, -1), "belongs to somebody else"),
        (lambda file: file.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda file: file.write_text("x = "), "is not valid TOML"),
    ],
    ids=range(11),
)
def test_a_file_that_cannot_be_relied_on_is_refused(
    write: Write, project: Path, how: Callable[[Path], None], says: str
) -> None:
    configuration = write("x = 1")
    try:
        how(project / FILE_NAME)
    except PermissionError:
        pytest.skip("only root gives files away")
    with pytest.raises(ConfigurationError, match=says):
        configuration.select()


# --- commands ------------------------------------------------------------------------------------------------------


HELPER = '[profiles.ci]\nprovider = "p"\nhelper = ["./tools/key.sh", "--all", "words"]\n'


def test_a_command_is_resolved_and_pinned_and_nothing_runs_it_unasked(write: Write, project: Path) -> None:  # TRU-3
    (project / "tools").mkdir()
    script = project / "tools" / "key.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    (project / "words").write_text("x")
    configuration = write(HELPER)

    with pytest.raises(TrustNeeded, match=f"ci: .*names a command as helper.* run: freshkey trust {project}"):
        typed(configuration, "ci", PROVIDER)

    settings = typed(configuration, "ci", PROVIDER, trusting).settings_as(Settings)
    assert settings.helper is not None
    assert settings.helper.argv == (str(script), "--all", "words")
    assert settings.helper.directory == project
    assert set(settings.helper.pins) == {script, project / "words"}


def test_what_the_user_sets_for_a_run_is_theirs_and_nothing_else_of_the_file_gets_by(
    write: Write, project: Path
) -> None:
    written = write('[profiles.ci]\nprovider = "p"\nhelper = ["/bin/false"]\n')
    mine = evolve(written, overrides={"helper": ["/bin/true"], "client_id": "mine"})

    settings = typed(mine, "ci", PROVIDER).settings_as(Settings)
    assert settings.helper is not None
    assert (settings.helper.argv, settings.client_id) == (("/bin/true",), "mine")

    written = write('[profiles.ci]\nprovider = "p"\nhelper = ["/bin/false"]\nother = ["/bin/false"]\n')
    with pytest.raises(TrustNeeded, match="names a command as other"):
        typed(evolve(written, overrides={"helper": ["/bin/true"]}), "ci", PROVIDER)


def test_a_program_on_path_is_found_once(write: Write, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    (project / "sh").write_text("#!/bin/sh\n")
    (project / "sh").chmod(0o700)
    text = '[profiles.ci]\nprovider = "p"\nhelper = ["{}"]'
    # What lies in the working directory is no program on PATH.
    with pytest.raises(ConfigurationError, match="'sh' is not there"):
        typed(write(text.format("sh")), "ci", PROVIDER, trusting)
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    helper = typed(write(text.format("sh")), "ci", PROVIDER, trusting).settings_as(Settings).helper
    assert helper is not None
    assert helper.argv[0] in {"/bin/sh", "/usr/bin/sh"}
    assert helper.pins == {}


def test_the_digest_is_that_of_what_was_read(write: Write) -> None:
    one, other = write('profile = "a"').project, write('profile = "b"').project
    same = write('profile = "a"\r\n'.removesuffix("\r\n")).project
    assert one is not None
    assert other is not None
    assert same is not None
    assert one.digest == same.digest != other.digest


@given(st.dictionaries(st.text(max_size=8), st.booleans() | st.text(max_size=8) | st.lists(st.text(max_size=4))))
def test_any_table_is_one_of_its_own_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, object]
) -> None:
    import json

    file = tmp_path_factory.mktemp("any", numbered=True) / FILE_NAME
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items()]
    file.write_text("\n".join(["[profiles.ci]", 'provider = "p"', *lines]), "utf-8")
    file.chmod(0o600)
    try:
        project = load(file, own=["me"], configuration=Path("config.toml"))
        project.words("ci", Settings)
    except FreshkeyError:
        return
    assert set(project.table("ci") or {}) <= {"provider", "source", "region", "helper", "other"}
