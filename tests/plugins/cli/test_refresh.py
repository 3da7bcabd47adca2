"""refresh: what reaches the keeper."""

from __future__ import annotations

from cli_doubles import FakeKeeper, Run


def test_refresh_renews_now(run: Run, keeper: FakeKeeper) -> None:
    done = run("refresh", "me")

    assert keeper.asked == [("refresh", "me")]
    assert done.out.startswith("me: Renewed for ada@example.com\n")
