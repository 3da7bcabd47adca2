"""The keychains of a session, its own first."""

from __future__ import annotations

import pytest

from freshkey._stores.keychain.session import in_order, is_kde


@pytest.mark.parametrize(
    ("environ", "kde"),
    [
        ({"XDG_CURRENT_DESKTOP": "KDE"}, True),
        ({"XDG_CURRENT_DESKTOP": "plasma:KDE"}, True),
        ({"XDG_CURRENT_DESKTOP": "KDE:X-Custom"}, True),
        ({"XDG_CURRENT_DESKTOP": "kde"}, True),
        ({"KDE_FULL_SESSION": "true"}, True),
        ({"XDG_CURRENT_DESKTOP": "", "KDE_FULL_SESSION": "true"}, True),
        ({"XDG_CURRENT_DESKTOP": "GNOME"}, False),
        ({"XDG_CURRENT_DESKTOP": "ubuntu:GNOME", "KDE_FULL_SESSION": "true"}, False),
        ({"XDG_CURRENT_DESKTOP": "NOTKDE"}, False),
        ({}, False),
    ],
)
def test_kde_session_has_kwallet_first(environ: dict[str, str], kde: bool) -> None:
    assert is_kde(environ) == kde
    names = in_order("linux", environ)
    assert names == (("kwallet", "secret-service") if kde else ("secret-service", "kwallet"))


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_have_one_keychain(platform: str) -> None:
    assert in_order(platform, {"XDG_CURRENT_DESKTOP": "KDE"}) == ()
