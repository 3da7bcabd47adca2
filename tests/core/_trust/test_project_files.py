"""Files of a project that the user trusted (TRU-13)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from freshkey._text.shell_words import shell_quoted
from freshkey._trust.project_files import (
    TrustedFiles,
    ensure_own_environment,
    ensure_trusted,
    file_question,
    file_to_trust,
    revoke_file,
    trust_file,
    trusted_files,
    variables_naming,
)
from freshkey._trust.question import UNCHECKED
from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from raises_code import raises_code


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    monkeypatch.chdir(project)
    file = project / "key.json"
    file.write_text("{}")
    return file


def test_file_is_trusted_with_its_content(file: Path, state: Path) -> None:
    """TRU-13: trusted once, until it changes."""
    with raises_code(TrustNeeded, "project-file-not-trusted") as caught:
        ensure_trusted("X_FILE", file, state)
    assert "X_FILE" in caught.value.message
    assert caught.value.hint == f"Review it, then run: freshkey trust {shell_quoted(str(file))}"
    trust_file(state, file)
    ensure_trusted("X_FILE", "key.json", state)
    file.write_text("{ }")
    with raises_code(TrustNeeded, "project-file-changed"):
        ensure_trusted("X_FILE", file, state)
    assert trusted_files(state)[0].changed() == f"{file.resolve()} changed after you trusted it"
    assert revoke_file(state, file.parent)[0].file == file.resolve()
    assert trusted_files(state) == ()


def test_user_is_asked_once(file: Path, state: Path) -> None:
    """TRU-13: an approval is kept, and a refusal or a missing terminal leads to the same error."""
    asked: list[str] = []

    def approve(question: str) -> bool:
        asked.append(question)
        return len(asked) > 1

    def no_terminal(_question: str) -> bool:
        raise LoginRequired("x", code="not-signed-in")

    for ask in (approve, no_terminal):
        with raises_code(TrustNeeded, "project-file-not-trusted"):
            ensure_trusted("X_FILE", file, state, ask)
    ensure_trusted("X_FILE", file, state, approve)
    ensure_trusted("X_FILE", file, state, approve)
    assert len(asked) == 2
    assert str(file) in asked[0]


def test_own_and_missing_files_cost_nothing(file: Path, state: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    ensure_trusted("X_FILE", tmp_path / "mine", state)
    ensure_trusted("X_FILE", file.parent / "missing", state)
    assert not state.exists()


def test_what_is_no_file_cannot_be_trusted(file: Path, state: Path) -> None:
    """TRU-13: a directory, a pipe or an endless device has no content that could be compared."""
    with raises_code(TrustNeeded, "project-file-not-trusted"):
        ensure_trusted("X_DIR", file.parent, state)
    if sys.platform != "win32":  # which has no such file
        (file.parent / "link").symlink_to("/dev/zero")
        with raises_code(TrustNeeded, "project-file-not-trusted"):
            ensure_trusted("X_FILE", file.parent / "link", state)
    for path in (file.parent, file.parent / "missing"):
        with raises_code(ConfigurationError, "cannot-trust-file"):
            trust_file(state, path)


def test_hint_names_the_file_from_every_directory(file: Path, state: Path) -> None:
    """TRU-13: a relative path, also one that looks like an option, becomes absolute; no hint that cannot work."""
    (file.parent / "-x y").write_text("{}")
    with raises_code(TrustNeeded, "project-file-not-trusted") as caught:
        ensure_trusted("X_FILE", "-x y", state)
    quote = '"' if sys.platform == "win32" else "'"
    assert caught.value.hint == f"Review it, then run: freshkey trust {quote}{file.parent / '-x y'}{quote}"
    with raises_code(TrustNeeded, "project-file-not-trusted") as caught:
        ensure_trusted("X_DIR", file.parent, state)
    assert "freshkey trust" not in (caught.value.hint or "")


def test_question_says_what_names_the_file_and_what_it_decides(file: Path, state: Path) -> None:
    """TRU-13: directories of settings count as naming what is in them; each character shows."""
    found = file_to_trust(file)
    project = str(file.parent)
    variables = {"A_FILE": "key.json", "B_DIR": project, "HOME": project, "C": project, "PWD": project, "D": "\udcff"}
    assert variables_naming(found.file, variables) == ("A_FILE", "B_DIR", "HOME")
    text = " ".join(file_question(found, ["A\u200b"]))
    assert f"{found.file} is named by A\\u{{200b}}." in text
    for part in ("whose credential is used", "where secrets are sent", "what programs run", UNCHECKED):
        assert part in text
    with raises_code(TrustNeeded, "trust-question-too-long"):
        file_question(found, [f"V{number}" for number in range(500)])


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
def test_link_that_is_changed_is_another_file(file: Path, state: Path) -> None:
    """TRU-13: the target counts, so a project cannot turn a trusted name to another file."""
    link = file.parent / "link"
    link.symlink_to(file)
    trust_file(state, link)
    ensure_trusted("X_FILE", link, state)
    link.unlink()
    (file.parent / "other").write_text("other")
    link.symlink_to(file.parent / "other")
    with raises_code(TrustNeeded, "project-file-not-trusted"):
        ensure_trusted("X_FILE", link, state)


def test_state_directory_in_the_project_is_refused(file: Path, state: Path) -> None:
    """TRU-13: a project could bring along what the user is said to have trusted."""
    usual = ("WIN_PD_OVERRIDE_LOCAL_APPDATA", "USERPROFILE") if sys.platform == "win32" else ("XDG_STATE_HOME", "HOME")
    for name in ("FRESHKEY_STATE_DIR", *usual):
        with raises_code(ConfigurationError, "state-directory-in-project") as caught:
            ensure_own_environment(file.parent / "state", None, {name: "x"})
        assert name in caught.value.message
        assert f"is in {file.parent}, which counts as the current project because" in caught.value.message
    ensure_own_environment(state, None, {})


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"])
def test_authorities_of_the_project_need_trust(file: Path, state: Path, name: str) -> None:
    """TRU-13: with its own authority and a proxy, a project could read what is sent."""
    with raises_code(TrustNeeded, "project-file-not-trusted"):
        ensure_own_environment(state, None, {name: str(file if name.endswith(("FILE", "BUNDLE")) else file.parent)})


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
@pytest.mark.parametrize("form", ["/etc:{}", "{}:/etc", ":{}:", "/etc:link", "."])
def test_each_directory_of_authorities_is_checked(file: Path, state: Path, form: str) -> None:
    """TRU-13: OpenSSL reads a list, of which one directory may be the project's."""
    (file.parent / "link").symlink_to(file.parent)
    with raises_code(TrustNeeded, "project-file-not-trusted") as caught:
        ensure_own_environment(state, None, {"SSL_CERT_DIR": form.format(file.parent).replace(":", os.pathsep)})
    assert "SSL_CERT_DIR" in caught.value.message
    ensure_own_environment(state, None, {"SSL_CERT_DIR": f"/etc{os.pathsep}/usr"})


def test_damaged_answers_trust_nothing(file: Path, state: Path) -> None:
    trust_file(state, file)
    (state / TrustedFiles.file_name).write_text("[" * 10_000)
    with raises_code(TrustNeeded, "project-file-not-trusted"):
        ensure_trusted("X_FILE", file, state)
