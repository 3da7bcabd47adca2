"""Cleans every text that leaves a plugin: of its errors, its results, and what it reports to the user.

See docs/decisions.md, "One place makes text visible, and one removes secrets from it".
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeVar, cast

from attrs import evolve

from freshkey._commands.environ import secret_values
from freshkey._text.held import secrets_in
from freshkey._text.redact import Forms, Redactor
from freshkey._text.visible import MAX_NAME
from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, safe_code
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.identity import Identity
from freshkey.model.interaction import NonInteractive, Reporter, flaw_of_secret, flaw_of_text, is_user_code
from freshkey.model.source import Detected
from freshkey.secret import Secret


C = TypeVar("C", bound=Credential)
T = TypeVar("T")

_MAX_ITEMS: Final = 20
"""Items of a list in an attribute of an error that are kept, such as notes."""

_SHOWN_OF_A_SECRET: Final = 4  # characters

_OVERRIDES: Final = {"__str__", "__repr__", "__format__", "__getattribute__", "__getattr__", "__setattr__", "__slots__"}
_PUBLIC: Final = frozenset({"state", "iss", "scope", "client_id", "redirect_uri", "response_type"})
"""Parameters of a sign-in's URL that the prompt itself shows."""

_TEXTS: Final = ("message", "hint", "profile", "code", "args")


_MAX_VARIABLE: Final = 4096
_MAX_ENCODED_VARIABLE: Final = 1024
"""Characters of a variable that are looked for, and those in forms that no one can read: it may be a whole key file."""


class Known:
    """The secrets that a plugin knows: those it was given, those it made meanwhile, and those in the environment.

    Args:
        holders: What it was given, and made.
    """

    def __init__(self, *holders: object) -> None:
        self._holders = holders

    def __iter__(self) -> Iterator[str | Forms]:
        yield from secrets_in(*self._holders)
        yield from self._environment

    @cached_property
    def _environment(self) -> tuple[Forms, ...]:
        return _environment.forms()


class _Environment:
    """The forms of the secrets in the environment: made once for as long as it is the same."""

    def __init__(self) -> None:
        self._last: tuple[dict[str, str], tuple[Forms, ...]] = ({}, ())

    def forms(self) -> tuple[Forms, ...]:
        """Return the forms, of both ends of what is long."""
        now, (before, forms) = dict(os.environ), self._last
        if now != before:
            half = _MAX_VARIABLE // 2
            ends = [
                end
                for value in dict.fromkeys(secret_values(now))
                for end in ((value,) if len(value) <= _MAX_VARIABLE else (value[:half], value[-half:]))
            ]
            forms = tuple(Forms(end, _MAX_ENCODED_VARIABLE) for end in ends)
            self._last = (now, forms)
        return forms


_environment: Final = _Environment()


def redactor(*holders: object) -> Redactor:
    """Return what removes the secrets in these objects from text; it looks for them when there is a text."""
    return Redactor(Known(*holders))


# --- errors ------------------------------------------------------------------------------------------------------


def clean_error(error: FreshkeyError, redact: Redactor) -> FreshkeyError:
    """Return an error of a plugin with nothing in it but cleaned texts, numbers and flags.

    It is the same object, unless its class decides how it is shown: then it is one of the class in freshkey that it is
    derived from. Its traceback, its causes and its context are gone, because they show the plugin's variables.
    """
    facts = {name: _clean_value(value, redact) for name, value in vars(error).items()}
    facts["message"] = redact(_message(error))
    for name in ("hint", "profile"):
        value = facts.get(name)
        facts[name] = value if isinstance(value, str) or value is None else None
    code = safe_code(error)
    facts["code"] = next(each.code for each in _own_classes(error)) if redact.quotes(code) else code
    shown = error if _is_shown_by_us(type(error)) else _blank(next(_own_classes(error)))
    shown.__dict__.clear()
    shown.__dict__.update(facts)
    shown.args = (facts["message"],)
    shown.__cause__ = shown.__context__ = shown.__traceback__ = None
    return shown


def _message(error: FreshkeyError) -> object:
    message = vars(error).get("message")
    if message is None and error.args:  # a class that did not call ours
        message = error.args[0]
    return type(error).__name__ if message is None else message


def _clean_value(value: object, redact: Redactor) -> object:
    if value is None or type(value) in {bool, int, float}:
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, tuple | list):
        items = [_clean_value(each, redact) for each in value[:_MAX_ITEMS]]
        return tuple(items) if isinstance(value, tuple) else items
    return None


def _own_classes(error: FreshkeyError) -> Iterator[type[FreshkeyError]]:
    return (kind for kind in type(error).__mro__ if kind.__module__ == FreshkeyError.__module__)


def _is_shown_by_us(kind: type) -> bool:
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] == "freshkey" or each in {Exception, BaseException, object}:
            continue
        own = vars(each)
        if each.__module__ == "builtins" or _OVERRIDES & own.keys():
            return False
        if any(not isinstance(own.get(name), str | None) for name in _TEXTS):
            return False
    return True


def _blank(kind: type[FreshkeyError]) -> FreshkeyError:
    return kind.__new__(kind)


# --- results -----------------------------------------------------------------------------------------------------


def clean_result(answer: T, redact: Redactor) -> T:
    """Return a plugin's result with cleaned texts; anything else is returned as it is."""
    if isinstance(answer, Credential):
        return _clean_credential(answer, Redactor([*redact.secrets, *secrets_in(answer)]))
    if isinstance(answer, Inspection):
        identity = None if answer.identity is None else _clean_identity(answer.identity, redact)
        return _changed(answer, detail=redact(answer.detail), identity=identity)
    if isinstance(answer, Detected):
        last_four = answer.last_four
        last_four = redact(last_four) if last_four and len(last_four) <= _SHOWN_OF_A_SECRET else None
        kind, origin = redact(answer.kind, MAX_NAME), redact(answer.origin)
        return _changed(answer, kind=kind, origin=origin, last_four=last_four)
    if isinstance(answer, Description):
        sources = tuple(_changed(each, title=redact(each.title, MAX_NAME)) for each in answer.sources)
        return _changed(answer, title=redact(answer.title, MAX_NAME), sources=sources)
    return cast("T", _clean_texts(answer, redact))


def _clean_texts(answer: object, redact: Redactor) -> object:
    if isinstance(answer, str):
        return redact(answer)
    return tuple(redact(each, MAX_NAME) for each in answer) if isinstance(answer, tuple) else answer


def _clean_credential(credential: C, redact: Redactor) -> C:
    unusable = None if credential.unusable is None else clean_error(credential.unusable, redact)
    return _changed(credential, identity=_clean_identity(credential.identity, redact), unusable=unusable)


def _clean_identity(identity: Identity, redact: Redactor) -> Identity:
    texts = {name: getattr(identity, name) for name in ("account", "email", "organization", "display_name")}
    hidden = {name: text if text is None else redact.masked(str(text)) for name, text in texts.items()}
    extra = {redact.masked(str(name)): redact.masked(str(text)) for name, text in identity.extra.items()}
    return _changed(identity, **hidden, extra=extra)


def _changed(value: T, **texts: object) -> T:
    """Return an attrs object with other texts; the same object if they are the same."""
    if all(getattr(value, name) == text for name, text in texts.items()):
        return value
    return cast("T", evolve(cast("Any", value), **texts))


# --- reports ------------------------------------------------------------------------------------------


class CleanReporter:
    """Passes on what a plugin reports to the user, and asks, without the secrets it knows.

    Args:
        inner: The caller's reporter or interaction.
        redact: Removes the secrets.
        made: Receives what the user enters: a secret from then on.
    """

    def __init__(self, inner: Reporter, redact: Redactor, made: list[Secret]) -> None:
        self._inner: Any = inner  # a hook that may ask was given an interaction
        self._redact = redact
        self._made = made

    def __getattr__(self, name: str) -> object:
        """Return whatever else the caller's interaction has."""
        return getattr(self._inner, name)

    def __eq__(self, other: object) -> bool:
        return bool(self._inner == getattr(other, "_inner", other))

    def __hash__(self) -> int:
        return hash(self._inner)

    def progress(self, message: str) -> None:
        """Report what is being done now."""
        self._inner.progress(self._redact(message))

    def line(self, text: str) -> None:
        """Pass on one line that a helper program printed."""
        self._inner.line(self._redact(text))

    def notice(self, message: str) -> None:
        """Show something that the user should know."""
        self._inner.notice(self._redact(message))

    def confirm(self, question: str) -> bool:
        """Ask a yes/no question."""
        return cast("bool", self._inner.confirm(self._redact(question)))

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Read a pasted line."""
        entered = cast("Secret | None", self._inner.read_code(self._prompt(prompt), given_up))
        if entered is not None:
            self._made[:] = [one for one in self._made if one is not entered] + _secret_parts(entered)
        return entered

    def read_text(self, prompt: str) -> str:
        """Read a line that is shown.

        Raises:
            LoginRequired: The application's interaction returned what cannot be an answer.
        """
        entered = str(self._inner.read_text(self._prompt(prompt))).strip()
        _accept(flaw_of_text(entered))
        return entered

    def read_secret(self, prompt: str) -> Secret:
        """Read a line without echo.

        Raises:
            LoginRequired: The application's interaction returned what cannot be an answer.
        """
        entered: object = self._inner.read_secret(self._prompt(prompt))
        if not isinstance(entered, Secret):
            raise _unusable("the application returned something else than a Secret")
        self._made.append(entered)
        _accept(flaw_of_secret(entered))
        return entered

    def choose(self, prompt: str, options: Mapping[str, str]) -> str:
        """Ask the user to choose; what is shown of an option has no secret, and stands for its value.

        Raises:
            ValueError: There are no options.
            LoginRequired: The application's interaction returned something else.
        """
        if not options:
            raise ValueError("choose() needs at least one option")
        values = {self._redact(value): value for value in options}
        if len(values) < len(options):  # they differ only in what is not shown
            values = {str(number): value for number, value in enumerate(options, 1)}
        shown = {name: self._redact(options[value]) for name, value in values.items()}
        chosen = self._inner.choose(self._prompt(prompt), shown)
        _accept(None if chosen in values else "it is none of the options")
        return values[chosen]

    def _prompt(self, prompt: str) -> str:
        return "\n".join(self._redact(line) for line in str(prompt).splitlines())

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Show the code that the user enters on another device.

        Raises:
            ProtocolError: It is not a code, but perhaps a sentence that the user would follow.
        """
        if not is_user_code(user_code):
            raise ProtocolError(
                "the server sent something else in place of the code to enter", code="invalid-user-code"
            )
        self._inner.show_device_code(user_code, verification_uri, complete_uri)


def _accept(flaw: str | None) -> None:
    if flaw is not None:
        raise _unusable(flaw)


def _unusable(flaw: str) -> LoginRequired:
    hint = "Enter only the requested value, on one line"
    return LoginRequired(f"the answer cannot be used: {flaw}", hint=hint, code="invalid-answer")


def _secret_parts(entered: Secret) -> list[Secret]:
    """Return what is secret of a pasted text: of a URL only its values, because the next prompt shows its address."""
    text = entered.reveal()
    if "://" not in text:
        return [entered]
    pairs = (part.partition("=") for part in re.split(r"[?#&]", text)[1:])
    return [Secret(value) for name, _, value in pairs if value and name not in _PUBLIC]


class _CleanNonInteractive(NonInteractive):
    """The same for a session without a user: providers ask for that class before they begin what needs one."""

    def __init__(self, inner: NonInteractive, reporter: CleanReporter) -> None:
        self.__dict__.update(vars(inner))
        self._inner = inner
        self.progress, self.line, self.notice = reporter.progress, reporter.line, reporter.notice

    def __eq__(self, other: object) -> bool:
        return self._inner == getattr(other, "_inner", other)

    def __hash__(self) -> int:
        return hash(self._inner)


def clean_reporter(user: Reporter, redact: Redactor, made: list[Secret]) -> Reporter:
    """Return a reporter or an interaction for a plugin; see `CleanReporter`."""
    if not isinstance(user, NonInteractive):
        return CleanReporter(user, redact, made)
    return _CleanNonInteractive(user, CleanReporter(user, redact, made))
