"""Third-party commands: found by metadata, imported only when used, and never able to replace another."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from cli_doubles import Run
from freshkey.plugin import install_command
from freshkey_cli import commands


COMMAND = """
def add_arguments(parser):
    parser.description = "Says a word."
    parser.add_argument("words", nargs="*")
    parser.add_argument("--name", default="anyone")

def run(context):
    context.out.result({"words": context.arguments.words}, [f"{context.arguments.name}: {context.arguments.words}"])
    return 7
"""


class Install(Protocol):
    """Installs a distribution with one module that provides commands."""

    def __call__(self, distribution: str, names: str, module: str = COMMAND) -> str: ...


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    def install(distribution: str, names: str, module: str = COMMAND) -> str:
        package = f"fixture_{distribution.replace('-', '_')}"
        site = tmp_path / distribution
        info = site / f"{package}-3.4.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 3.4\n")
        points = "".join(f"{name} = {package}\n" for name in names.split())
        (info / "entry_points.txt").write_text(f"[{commands.GROUP}]\n{points}")
        (site / f"{package}.py").write_text(module)
        monkeypatch.syspath_prepend(site)
        packages.add(package)
        return package

    packages: set[str] = set()
    yield install
    for package in packages:
        sys.modules.pop(package, None)  # other tests use the same package name


def test_third_party_command_runs_like_a_built_in_one(run: Run, install: Install) -> None:
    install("acme", "say")
    done = run("say", "a", "b", "--name", "me")

    assert (done.code, done.out, done.err) == (7, "me: ['a', 'b']\n", "")
    assert run("say", "--json", "a").json == {"words": ["a"]}
    assert run("--json", "say", "a").json == {"words": ["a"]}


def test_documented_example_works_as_pasted(run: Run, install: Install) -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
    (module,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    install("acme", "greet", module)

    assert (run("greet", "Ada").out, run("greet", "Ada", "--json").json) == ("Hello, Ada\n", {"greeted": "Ada"})
    assert "Greet a user." in run("greet", "--help").out


def test_third_party_command_has_its_own_help_and_usage_errors_exit_2(run: Run, install: Install) -> None:
    install("acme", "say")

    assert "Says a word." in run("say", "--help").out
    done = run("say", "--loud", "--json")
    assert (done.code, done.error["code"], done.error["kind"]) == (2, "usage", "UsageError")


@pytest.mark.parametrize("words", [["--help"], ["--help", "token"], ["token", "--help"], ["say-it"], ["token"]])
def test_third_party_command_is_listed_without_being_imported(run: Run, install: Install, words: list[str]) -> None:
    package = install("acme", "say")
    done = run(*words)

    assert package not in sys.modules
    if words[0] == "--help":
        assert any(line.split() == ["say", "from", "acme"] for line in done.out.splitlines())


def test_command_from_two_packages_is_an_error_that_names_both(run: Run, install: Install) -> None:
    packages = {install("acme", "say other"), install("zenith", "say")}
    done = run("say")

    assert (done.code, done.out) == (6, "")
    assert done.error_code == "plugin-name-conflict"
    assert "'say': acme and zenith" in done.err
    assert not packages & set(sys.modules)
    assert run("other", "a").code == 7
    assert any(line.split() == ["say", "from", "acme", "and", "zenith"] for line in run("--help").out.splitlines())


def test_built_in_command_cannot_be_shadowed(run: Run, install: Install) -> None:
    package = install("acme", "providers say")
    done = run("providers")

    assert (done.code, done.error_code) == (0, None)
    assert "PROVIDER" in done.out
    assert "acme also provides a command 'providers', which was not used" in done.err
    assert package not in sys.modules
    assert "acme" not in run("status").err
    assert "print the token" in run("--help").out


def test_distribution_found_twice_counts_once(
    run: Run, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme", "say")
    (tmp_path / "link").symlink_to(tmp_path / "acme")
    monkeypatch.syspath_prepend(tmp_path / "link")

    assert run("say", "a").code == 7


@pytest.mark.parametrize("name", ["-x", "Say", "größe"])
def test_command_with_unusable_name_is_not_listed(run: Run, install: Install, name: str) -> None:
    install("acme", name)

    assert "from acme" not in run("--help").out


@pytest.mark.parametrize(
    ("module", "code", "fact"),
    [
        ("raise SystemExit(0)", "plugin-not-loadable", "SystemExit in fixture_acme.py, line 1"),
        ("import absent", "plugin-not-loadable", "'absent': ModuleNotFoundError in fixture_acme.py, line 1"),
        ("def run(context): return 0", "plugin-command-failed", "add_arguments and run"),
    ],
)
def test_broken_command_is_reported_with_its_distribution(
    run: Run, install: Install, module: str, code: str, fact: str
) -> None:
    install("acme", "say", module)
    done = run("say")

    assert (done.code, done.out, done.error_code) == (6, "", code)
    assert "'say' of acme " in done.err
    assert fact in done.err
    assert "uninstall acme" in done.err


def test_third_party_options_may_have_the_names_of_built_in_ones(run: Run, install: Install) -> None:
    module = """
def add_arguments(parser):
    for name in ("store", "bare", "overrides", "check-usage", "words", "unknown"):
        parser.add_argument(f"--{name}")

def run(context):
    context.out.result(vars(context.arguments), [])
    return 0
"""
    install("acme", "say", module)
    names = ("store", "bare", "overrides", "check_usage", "words", "unknown")
    said = run("say", "--json", *(f"--{name.replace('_', '-')}={name}" for name in names)).json

    assert {name: said[name] for name in names} == {name: name for name in names}


@pytest.mark.parametrize(
    ("declare", "do", "fact"),
    [
        ("pass", "raise ValueError('sekrit')", "ValueError in fixture_acme.py, line 6"),
        ("parser.add_argument('--json')", "return 0", "ArgumentError in "),
        ("pass", "return 'sekrit'", "exit code"),
        ("pass", "return None", "exit code"),
    ],
)
def test_failing_command_is_blamed_on_its_distribution(
    run: Run, install: Install, declare: str, do: str, fact: str
) -> None:
    install("acme", "say", f"def add_arguments(parser):\n    {declare}\n\n\ndef run(context):\n    {do}\n")
    done = run("say")

    assert (done.code, done.out, done.error_code) == (6, "", "plugin-command-failed")
    assert "'say' of acme " in done.err
    assert fact in done.err
    assert "uninstall acme" in done.err
    assert "sekrit" not in done.err


def test_demo_cannot_be_replaced_by_another_distribution(run: Run, install: Install) -> None:
    package = install("acme", "demo")
    done = run("demo")

    assert (done.code, done.out, done.error_code) == (6, "", "plugin-name-conflict")
    assert "'demo': freshkey-testing and acme" in done.err
    assert package not in sys.modules
    assert "from acme" not in run("--help").out


def test_demo_without_its_package_is_listed_and_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_claims", lambda name=None: [])
    done = run("demo")

    assert (done.code, done.out, done.error_code) == (6, "", "missing-package")
    assert done.err.endswith(f". Run: {install_command('freshkey-testing', 'freshkey-claude-oauth')}\n")
    assert any(line.split()[:3] == ["demo", "watch", "a"] for line in run("--help").out.splitlines())
