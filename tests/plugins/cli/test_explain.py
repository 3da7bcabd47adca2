"""explain: how the profile was selected and which of its sources wins, as text and as JSON."""

from __future__ import annotations

from cli_doubles import Run


def test_explain_as_text(run: Run) -> None:
    done = run("explain", "me")
    lines = done.out.splitlines()

    assert "selected by: argument" in done.err
    assert [line.split()[0] for line in lines] == ["SELECTED", "argument", "*", "SOURCE", "*", "sign-in"]
    assert lines[2].split() == ["*", "default", "me", "default", "in", "config.toml,", "line", "1"]
    assert lines[4].split()[:2] == ["*", "env"]
    assert "API key: environment variable APP_KEY, ending in abcd" in lines[4]
    assert "'env' comes first" in lines[5]


def test_explain_as_json(run: Run) -> None:
    value = run("explain", "--json").json

    assert (value["profile"], value["provider"], value["selected_by"]) == ("me", "claude_oauth", "argument")
    assert value["selection"] == [
        {"place": "argument", "found": None, "wins": False, "why": "names none"},
        {"place": "default", "found": "me", "wins": True, "why": "default in config.toml, line 1"},
    ]
    assert value["steps"][0]["found"]["last_four"] == "abcd"
    assert [step["wins"] for step in value["steps"]] == [True, False]
    assert value["steps"][1]["found"] is None
