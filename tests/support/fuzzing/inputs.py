"""Inputs made from valid examples and from the tokens of a grammar: cut, repeated, nested, long, and random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy


SECRET: Final = "s3cr3t-Q7x9Z2w8K4v6T1n5"
"""A digit is in every eight of its characters, so that no word of a message is mistaken for a part of it."""

NASTY: Final = (
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\n", b"\n", b"\\", b'"', b"'", b" ", b"%", b"=", b"&", b"#", b"."),
    *("é".encode(), "\u2028".encode(), "\U0001f511".encode(), b"\\ud800", b"\xed\xa0\x80", "\u0663".encode()),
    *(b"9" * 40, b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b"0", b"1.5", b"\x1b[2J"),
    *(b"[", b"]", b"{", b"}", b"(", b")", b"<", b">", b":", b",", b";", b"/", b"@", b"?", b"*", b"a", b"\t"),
    SECRET.encode(),
)
_SIZES: Final = (10, 40, 40, 300, 300, 300, 3_000, 3_000, 3_000, 20_000, 20_000, None)
"""Lengths of what is repeated; None is the most that the target reads."""


def mutated(examples: Sequence[bytes], tokens: Sequence[bytes], limit: int) -> SearchStrategy[bytes]:
    """Return inputs of at most `limit` bytes.

    Args:
        examples: Valid inputs, and others that are worth a start.
        tokens: What the grammar consists of, in addition to `NASTY`.
        limit: The most that the caller of the parser passes to it.
    """
    words = st.sampled_from((*tokens, *NASTY)) | st.binary(min_size=1, max_size=4)
    length = st.sampled_from(_SIZES).map(lambda size: min(size or limit, limit))
    place = st.integers(0, 1 << 16)

    @st.composite
    def changed(draw: DrawFn) -> bytes:
        data = draw(st.sampled_from(tuple(examples)))
        for _ in range(draw(st.integers(0, 3))):
            start = draw(place) % (len(data) + 1)
            end = start + draw(st.sampled_from((0, 0, 1, 1, 4, 16, 1 << 20)))
            data = data[:start] + draw(words | st.just(b"")) + data[end:]
        return data

    @st.composite
    def repeated(draw: DrawFn) -> bytes:
        unit = b"".join(draw(st.lists(words, min_size=1, max_size=3)))
        middle = unit * max(1, draw(length) // len(unit))
        data = draw(st.sampled_from((b"", *examples)))
        start = draw(place) % (len(data) + 1)
        return data[:start] + middle + draw(words | st.just(data[start:]))

    @st.composite
    def nested(draw: DrawFn) -> bytes:
        opening, closing = draw(words), draw(words)
        count = max(1, draw(length) // (2 * len(opening)))
        data = draw(st.sampled_from((b"", *examples)))
        start = draw(place) % (len(data) + 1)
        return data[:start] + opening * count + draw(words) + closing * draw(st.sampled_from((0, count))) + data[start:]

    random = st.lists(words, max_size=30).map(b"".join) | st.binary(max_size=100)
    return (changed() | changed() | changed() | repeated() | nested() | random).map(lambda data: data[:limit])
