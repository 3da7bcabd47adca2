"""Removes secrets from text of others, before it is shown, logged or put into an error.

Two kinds are found: secrets that are known, in whatever form they are written, and what has the shape of one.
See docs/decisions.md, "One place makes text visible, and one removes secrets from it".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from typing import Final

from freshkey._text.shapes import PUBLIC_PREFIX, without_shapes
from freshkey._text.visible import is_invisible, visible


MASK: Final = "[redacted]"

MAX_MESSAGE: Final = 1000
"""Maximum characters of a text of others that are shown."""

_MAX_READ: Final = 8 * MAX_MESSAGE
"""Characters of it that are looked at: a mask is shorter than what it hides."""

_MIN_SECRET: Final = 4
_MIN_ANYWHERE: Final = 8
"""A shorter secret is found only as a word of its own: it may be part of many words."""

_PIECE: Final = 12
"""Characters in a row that a text and a secret have in common by design, not by chance."""

_EDGE: Final = 8
"""The same at the beginning and the end of a secret, where it is cut off."""

_MAX_SECRET: Final = 65536
_BETWEEN: Final = "\n"
"""What is in no squeezed text, and separates forms."""

_FEW: Final = 1 << 22
"""Comparisons that are quicker one by one than by way of a set."""

_MAX_ENCODED: Final = 4096
"""Characters at its beginning that are looked for in forms that no one can read: the text shows few of them."""

_MAX_BASE85: Final = 512  # bytes; it is made in Python, and slow

_STEP: Final = _PIECE - _EDGE + 1
"""Every piece has a run of `_EDGE` characters that begins at a multiple of this."""

_SENTENCE: Final = re.compile(r"(?:(?:[A-Z]{0,2}[a-z]{1,14}|[A-Z]{1,13})(?:[^\w%+=]{1,3}|_|$))*", re.ASCII)
_IN_LETTERS: Final = re.compile(r"(?:(?<![A-Za-z])[A-Za-z]{1,2}[^A-Za-z]{1,3}){5}")

_MAX_WORD: Final = 12
_WORD: Final = re.compile(r"[^\W\d_]+")
_UNSEEN: Final = re.compile(r"[^!-~]+")  # of ASCII
_NOT_ALPHANUMERIC: Final = {code: None for code in range(128) if not chr(code).isalnum()}
_UNSPEAKABLE: Final = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}|^[bcdfghjklmnpqrstvwxz]{4,}$", re.IGNORECASE)
_POWERSHELL: Final = re.compile(r'[`$"]')
_CMD: Final = re.compile(r'[\^&|<>()%!"]')
"""What these shells of Windows need a mark before."""
_JOINTS: Final = "-_.,:;|/+*"
_LETTER: Final = re.compile(r"\w")
_PART: Final = re.compile(r"[\w+%~-]", re.ASCII)
_REST: Final = re.compile(r"[\w+%~-]*=*", re.ASCII)


class Redactor:
    """Removes known secrets, and whatever looks like one, from text.

    Args:
        secrets: The secrets that are known, as plain strings, or their forms if these are there already. Reading them
            is put off until there is a text.
    """

    def __init__(self, secrets: Iterable[str | Forms]) -> None:
        self.secrets = secrets
        self._forms: dict[str, Forms] = {}

    def __call__(self, text: object, longest: int = MAX_MESSAGE) -> str:
        """Return text as it may be shown: without secrets, visible, on one line, and limited in length.

        Args:
            text: Any object: the text of an exception need not be a string.
            longest: Maximum characters of the result.
        """
        return visible(self.masked(_text(text)), longest)

    def masked(self, text: str) -> str:
        """Return text without secrets, otherwise unchanged; what is far too long for a message is cut off."""
        text = text[:_MAX_READ]
        if not text:
            return ""
        return without_shapes(_without(text, [self._of(secret) for secret in {*self.secrets} if secret]), MASK)

    def _of(self, secret: str | Forms) -> Forms:
        if isinstance(secret, Forms):
            return secret
        if secret not in self._forms:
            self._forms[secret] = Forms(secret)
        return self._forms[secret]

    def quotes(self, text: str) -> bool:
        """Return whether a text quotes a secret."""
        return self.masked(text) != text


def redacted(text: object, longest: int = MAX_MESSAGE) -> str:
    """Return a text of others as it may be shown if no secret is known: without whatever looks like one."""
    return Redactor(())(text, longest)


def masked(text: str) -> str:
    """Return a text of others without whatever looks like a secret, otherwise as it is."""
    return Redactor(()).masked(text)


def _text(value: object) -> str:
    if type(value) is str:
        return value
    try:
        return str.__str__(value)[:_MAX_READ] if isinstance(value, str) else str(value)[:_MAX_READ]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"a {type(value).__name__} without readable text"


def _without(text: str, secrets: Iterable[Forms]) -> str:
    """Return text with each known secret masked."""
    seen, letters = _Squeezed(text, _is_seen), _Squeezed(text, str.isalnum)
    readable = _SENTENCE.fullmatch(text) is not None and _IN_LETTERS.search(text) is None
    for secret in secrets:
        if secret.length >= _MIN_ANYWHERE > seen.length:
            continue
        for forms in (secret.plain,) if readable else (secret.plain, secret.encoded):
            for form in forms.seen:
                seen.find(form, text if len(form) < _MIN_ANYWHERE else "")
            for form in forms.letters:
                letters.find(form)
            for squeezed in (seen, letters):
                squeezed.pieces |= forms.pieces(squeezed)
    return _masked(text, [*seen.runs(), *letters.runs()])


def occurs(secret: str, text: str) -> bool:
    """Return whether a whole secret is in a text, in one of the forms in which it may be written."""
    both = Forms(secret)
    seen, letters = _lower(_visible_part(text)), _lower(_alphanumeric(text))
    return any(
        any(form in seen for form in forms.seen) or any(form in letters for form in forms.letters)
        for forms in (both.plain, both.encoded)
    )


class _Squeezed:
    """A text in lower case, without the characters that may be between those of a secret.

    A secret may be spread over lines, or something joins its characters; a hostile text hides one between characters
    that show nothing.
    """

    def __init__(self, text: str, keep: Callable[[str], bool]) -> None:
        self._places = [at for at, each in enumerate(text) if keep(each)]
        self._text = _lower("".join(text[at] for at in self._places))
        self._found = bytearray(len(self._text))
        self.length = len(self._text)
        self.runs_of_edge = {self._text[at : at + _EDGE] for at in self._starts(_EDGE)}
        self.pieces: set[str] = set()
        """The windows to hide."""

    def windows(self, common: set[str]) -> set[str]:
        """Return the windows of the size of a piece in which something of `common` is."""
        begin = {
            at - back for at in self._starts(_EDGE) if self._text[at : at + _EDGE] in common for back in range(_STEP)
        }
        return {self._text[at : at + _PIECE] for at in begin if 0 <= at <= self.length - _PIECE}

    def _starts(self, size: int) -> range:
        return range(len(self._text) - size + 1)

    def find(self, form: str, word_of: str = "") -> None:
        """Hide each place of a form; if `word_of` is the text, only where it is a word of its own."""
        at = self._text.find(form)
        while at >= 0:
            end = at + len(form)
            if not word_of or not _is_inside_word(word_of, self._places[at], self._places[end - 1]):
                self._found[at:end] = b"\1" * len(form)
            at = self._text.find(form, at + 1)

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield the parts of the whole text to hide: where each begins, and where it ends."""
        for size in {len(piece) for piece in self.pieces}:
            for at in self._starts(size):
                if self._text[at : at + size] in self.pieces:
                    self._found[at : at + size] = b"\1" * size
        at = 0
        while (at := self._found.find(1, at)) >= 0:
            end = self._found.find(0, at)
            end = len(self._found) if end < 0 else end
            yield self._places[at], self._places[end - 1] + 1
            at = end


class Forms:
    """The forms in which a secret may be written. Each kind is made when a text first needs it, and only once.

    Args:
        secret: The secret.
        encoded: Characters at its beginning that are also looked for in forms that no one can read.
    """

    def __init__(self, secret: str, encoded: int = _MAX_ENCODED) -> None:
        self._secret = secret[:_MAX_SECRET]
        self._encoded = self._secret[:encoded]
        self._shown = _visible_part(self._secret)
        self.length = len(self._shown)

    @cached_property
    def _is_words(self) -> bool:
        return _is_like_words(self._secret)

    @cached_property
    def plain(self) -> _Written:
        """As text."""
        shown, words = self._shown, self._is_words
        if self.length < _MIN_ANYWHERE:
            return _Written({shown} if self.length >= _MIN_SECRET else set())
        plain = {shown, shown[::-1], *(_visible_part(form) for form in _written(self._secret))}
        if words:  # they are joined by something in texts that do not quote the secret, too
            return _Written(plain | {joint.join(shown) for joint in _JOINTS})
        bare = _alphanumeric(shown)
        return _Written(plain, {bare, bare[::-1]}, self._with_parts(plain), tuple(_edges(shown)))

    @cached_property
    def encoded(self) -> _Written:
        """In encodings, and as numbers."""
        if self.length < _MIN_ANYWHERE:
            return _Written(set())
        data = self._encoded.encode("utf-8", "surrogatepass")
        wide = self._encoded.encode("utf-16-le", "surrogatepass")
        encoded = {*_encoded(data), *_encoded(wide), *_base85(data)}
        both = encoded | {*_numbers(data)}
        return _Written(encoded, both, self._with_parts(both))

    def _with_parts(self, forms: set[str]) -> set[str]:
        # Parts of a document are also in other texts: its URLs, its names. What is secret in it, `secrets_in` yields.
        return set() if self._shown.startswith(("{", "[")) else forms


class _Written:
    """Some forms of a secret, in lower case.

    Those in `letters` have only letters and digits, so that it does not matter what joins characters or bytes: a
    hyphen, the colons of hexadecimal, the commas of a list of numbers, the backslashes of escapes.

    Args:
        seen: Forms that are looked for with all their visible characters.
        letters: Forms that are looked for with their letters and digits.
        parts: Forms of which any piece gives the secret away.
        edges: Shorter pieces that do.
    """

    def __init__(
        self, seen: set[str], letters: Iterable[str] = (), parts: Iterable[str] = (), edges: tuple[str, ...] = ()
    ) -> None:
        self.seen = {_lower(form) for form in seen}
        self.letters = {low for form in letters if len(low := _lower(_alphanumeric(form))) >= _MIN_ANYWHERE}
        own = [form[max(0, _public(form) - _EDGE) :] for form in parts]
        self._parts = {_lower(part) for form in own for part in (form, _alphanumeric(form))}
        self._edges = tuple(map(_lower, edges))

    @cached_property
    def _steps(self) -> set[str]:
        """Some run of each piece, so that most texts are known to have none without a look at any."""
        return {part[at : at + _EDGE] for part in self._parts for at in range(0, len(part) - _EDGE + 1, _STEP)}

    @cached_property
    def _joined(self) -> str:
        return _BETWEEN.join(self._parts)

    def pieces(self, text: _Squeezed) -> set[str]:
        """Return the parts of a text that give the secret away."""
        found = {edge for edge in self._edges if edge in text.runs_of_edge}
        common = text.runs_of_edge & self._steps
        if not common:
            return found
        windows = text.windows(common)
        if len(windows) * len(self._joined) < _FEW:
            return found | {window for window in windows if window in self._joined}
        parts = self._parts
        each = (part[at : at + _PIECE] for part in parts for at in range(len(part) - _PIECE + 1))
        return found.union(piece for piece in each if piece in windows)


def _written(secret: str) -> Iterator[str]:
    """Yield a secret as URLs, forms, JSON, Python, HTML and shells have it."""
    from json import dumps
    from urllib.parse import quote, quote_plus

    for each in {secret, secret.replace("\r\n", "\n")}:
        data = each.encode("utf-8", "surrogatepass")
        yield from (quote(data, safe=safe) for safe in ("", "/", "/:", "!*'()"))
        yield from (quote_plus(data), dumps(each)[1:-1], dumps(each, ensure_ascii=False)[1:-1])
        yield from (repr(each)[1:-1], ascii(each)[1:-1], _in_html(each))
        yield from (each.replace("'", "'\"'\"'"), each.replace("'", r"'\''"), each.replace("'", "''"))
        yield from (_POWERSHELL.sub(r"`\g<0>", each), _CMD.sub(r"^\g<0>", each), each.replace("%", "%%"))
        yield from (each.replace('"', '""'), each.replace('"', r"\""))


def _in_html(text: str) -> str:
    """Return what `html.escape` does; that module takes as long to import as all of this."""
    for each, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#x27")):
        text = text.replace(each, f"&{name};")
    return text


def _encoded(data: bytes) -> Iterator[str]:
    """Yield what an encoding of any data with this in it contains, for each position where it may begin."""
    from base64 import b32encode, b64encode

    yield data.hex()
    for encode, bits, group in ((b64encode, 6, 3), (b32encode, 5, 5)):
        for before in range(group):
            text = encode(b"\0" * before + data).decode()
            # The characters at both ends also depend on what is next to it.
            text = text[-(-before * 8 // bits) : (before + len(data)) * 8 // bits]
            if len(text) >= _EDGE:
                yield text
                yield text.replace("+", "-").replace("/", "_")


def _base85(data: bytes) -> Iterator[str]:
    from base64 import a85encode, b85encode

    for begin in range(4):
        groups = data[begin : begin + min(len(data) - begin, _MAX_BASE85) // 4 * 4]
        if len(groups) >= _EDGE:
            yield from (a85encode(groups).decode(), b85encode(groups).decode())


def _numbers(data: bytes) -> Iterator[str]:
    """Yield the numbers of bytes, one after another, as lists and escapes have them."""
    for table in _tables():
        yield "".join(map(table.__getitem__, data))


@cache
def _tables() -> tuple[tuple[str, ...], ...]:
    formats = ("{:d}", "{:03d}", "{:o}", "{:03o}", "0x{:x}", "0x{:02x}", "x{:x}", "x{:02x}", "u{:04x}")
    return tuple(tuple(each.format(byte) for byte in range(256)) for each in formats)


def _public(form: str) -> int:
    """Return the length of what all secrets of a kind begin with, so that it says nothing about this one."""
    public = PUBLIC_PREFIX.match(form)
    return public.end() if public else 0


def _edges(shown: str) -> Iterator[str]:
    """Yield the beginning of a secret, after what all of its kind begin with, and its end."""
    start = _public(shown)
    if len(shown) - start >= 2 * _EDGE:
        yield from (shown[start : start + _EDGE], shown[-_EDGE:])


def _is_like_words(secret: str) -> bool:
    """Return whether a secret consists of words, so that parts of it are also in other texts, by chance."""
    words = _WORD.findall(secret)
    even = len(words) > 2 and len({len(word) for word in words}) == 1  # noqa: PLR2004  groups of a code
    return bool(words) and not even and all(_is_like_word(word) for word in words) and not re.search(r"\d", secret)


def _is_like_word(word: str) -> bool:
    in_one_case = word[1:].islower() or word.isupper() or len(word) == 1
    return in_one_case and len(word) <= _MAX_WORD and not _UNSPEAKABLE.search(word)


def _lower(text: str) -> str:
    """Return text in lower case and as long as before."""
    lower = text.lower()
    return (
        lower if len(lower) == len(text) else "".join(low if len(low := each.lower()) == 1 else each for each in text)
    )


def _is_seen(each: str) -> bool:
    return "!" <= each <= "~" or not (each.isspace() or is_invisible(each))


def _visible_part(text: str) -> str:
    return _UNSEEN.sub("", text) if text.isascii() else "".join(filter(_is_seen, text))


def _alphanumeric(text: str) -> str:
    return text.translate(_NOT_ALPHANUMERIC) if text.isascii() else "".join(filter(str.isalnum, text))


def _is_inside_word(text: str, first: int, last: int) -> bool:
    return (first > 0 and _LETTER.match(text, first - 1) is not None) or _LETTER.match(text, last + 1) is not None


def _masked(text: str, runs: Iterable[tuple[int, int]]) -> str:
    """Return text with a mask for each part to hide, together with the rest of the word that it is part of."""
    shown: list[str] = []
    done = 0
    for first, last in sorted(runs):
        if last <= done:
            continue
        begin, end = max(first, done), last
        if last - first >= _EDGE:
            while begin > done and _PART.match(text, begin - 1):
                begin -= 1
            if rest := _REST.match(text, last):
                end = rest.end()
        shown += [text[done:begin], MASK] if begin > done or not shown else []
        done = end
    return "".join([*shown, text[done:]])
