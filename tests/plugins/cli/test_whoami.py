"""whoami: as text, as JSON, and by its exit code."""

from __future__ import annotations

import pytest

from cli_doubles import FakeKeeper, Run
from freshkey.model.description import Inspection, Validity
from freshkey.model.identity import Identity


@pytest.mark.parametrize(
    ("validity", "code"),
    [
        (Validity.VALID, 0),
        (Validity.UNCHECKABLE, 0),
        (Validity.EXPIRED, 3),
        (Validity.REFUSED, 3),
        (Validity.UNREACHABLE, 5),
    ],
)
def test_whoami_exit_code_reflects_the_validity(run: Run, keeper: FakeKeeper, validity: Validity, code: int) -> None:
    keeper.inspection = Inspection(validity=validity, identity=Identity(email="ada@example.com"), detail="asked")
    done = run("whoami", "--json")

    assert done.code == code
    assert done.json == {
        "profile": "me",
        "validity": validity.value,
        "detail": "asked",
        "identity": {"email": "ada@example.com"},
    }


def test_whoami_as_text(run: Run) -> None:
    done = run("whoami")

    assert done.out.splitlines()[0] == "me: valid (checked)"
    assert "ada@example.com" in done.out
