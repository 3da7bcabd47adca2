"""The texts of an identity are visible and short, and two accounts that differ stay different."""

from __future__ import annotations

from freshkey._text.visible import MAX_NAME, is_invisible
from freshkey.model.identity import Identity
from promises import proves


ODD = "a\u3164b\u202e\x1b[2J\u2800" + "\u0301" * 200


@proves("LEK-9")
def test_names_have_only_visible_characters() -> None:
    odd = Identity(account=ODD, email=ODD, organization=ODD, display_name=ODD, extra={ODD: ODD})
    for text in (
        odd.account,
        odd.email,
        odd.organization,
        odd.display_name,
        odd.label,
        *odd.extra,
        *odd.extra.values(),
    ):
        assert text is not None
        assert not any(map(is_invisible, text))
        assert len(text) <= MAX_NAME
        assert text.count("\u0301") <= 3


@proves("LEK-9")
def test_accounts_that_differ_in_what_cannot_be_seen_differ() -> None:
    assert Identity(account="ada").differs_from(Identity(account="ada\u200b"))
    assert Identity(account="ada\u200c").differs_from(Identity(account="ada\u200b"))
    assert Identity(email="ada\u200b@example.com").label == "ada\\u200b@example.com"


@proves("LEK-9")
def test_lengths_are_limited() -> None:
    long = Identity(display_name="x" * 78_000, extra={str(number): "y" * 500 for number in range(1000)})
    assert len(long.display_name or "") == MAX_NAME
    assert len(long.extra) == 50
    assert Identity(account="x" * 300).differs_from(Identity(account="y" * 300))
