"""What stands before the JSON is passed over in a time that is linear in its length."""

from __future__ import annotations

import time

import pytest

from freshkey._http.json_object import read_object, start_of
from freshkey._json import MAX_BODY


@pytest.mark.parametrize("blank", ["\t", " ", "\ufeff", "\xef\xbb\xbf", " \xef\xbb\xbf"])
def test_blanks_and_marks_are_passed_over(blank: str) -> None:
    assert start_of(blank * 3 + "{}") == len(blank * 3)


@pytest.mark.parametrize("blank", [b"\t", b"\xef\xbb\xbf", b")]}'", b"<!--", b"while(1);", b"<b>"])
def test_a_body_without_json_is_read_in_linear_time(blank: bytes) -> None:  # NET-10
    began = time.process_time()
    assert read_object(blank * (MAX_BODY // len(blank))) is None
    assert time.process_time() - began < 10.0
