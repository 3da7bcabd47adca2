"""Cleans what a credential's own methods raise: a provider wrote them, and the credential's secrets are at hand.

They are called by applications and adapters, without a hook around them. The errors of hooks are cleaned elsewhere.
"""

from __future__ import annotations

from freshkey._text.held import secrets_in
from freshkey._text.redact import Redactor
from freshkey._text.tracebacks import HINT, add_note, is_debugging, traceback_note
from freshkey.errors import FreshkeyError, PluginBroken, describe_raise, safe_code


def cleaned(error: BaseException, credential: object, method: str) -> FreshkeyError:
    """Return the error to raise in place of one that a method of a credential raised, to be raised without its context.

    It quotes no secret of the credential, and has no traceback, cause or context: these show the method's variables.

    Args:
        error: What was raised.
        credential: The credential.
        method: Name of the method.
    """
    redact = Redactor([*secrets_in(credential, error)])
    note = traceback_note(error, redact)
    failure = _cleaned(error, credential, method, redact)
    add_note(failure, note)
    return failure


def _cleaned(error: BaseException, credential: object, method: str, redact: Redactor) -> FreshkeyError:
    if not isinstance(error, FreshkeyError):
        plugin = type(credential).__module__.partition(".")[0]
        return PluginBroken(
            f"the credential class {type(credential).__name__} is broken: {method}() raised "
            f"{redact(describe_raise(error, by_plugin=True))}",
            plugin=plugin,
            hint=f"Report this to the author of {plugin}" + ("" if is_debugging() else f". {HINT}"),
            code="plugin-hook-failed",
        )
    kinds = (each for each in type(error).__mro__ if issubclass(each, FreshkeyError))
    kind = next(each for each in kinds if each.__module__ == FreshkeyError.__module__)
    shown: FreshkeyError = error if type(error) is kind else kind.__new__(kind)
    facts = {name: _clean(value, redact) for name, value in vars(error).items()}
    code = safe_code(error)
    facts["code"] = kind.code if redact.quotes(code) else code
    facts["message"] = redact(facts.get("message") or type(error).__name__)
    facts.update({name: facts.get(name) for name in ("hint", "profile")})
    shown.__dict__.clear()
    shown.__dict__.update(facts)
    shown.args = (facts["message"],)
    shown.__cause__ = shown.__context__ = shown.__traceback__ = None
    return shown


def _clean(value: object, redact: Redactor) -> object:
    if isinstance(value, str):
        return redact(value)
    return value if value is None or type(value) in {bool, int, float} else None
