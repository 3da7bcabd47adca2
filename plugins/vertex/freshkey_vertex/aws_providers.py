"""Changes the providers of botocore's chain: each place is asked once, without prompts, and ended keys are passed over.

botocore has no parameters for this, so attributes of its providers are replaced. Tests against the real library fail if
those are ever renamed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import define, field

from freshkey.errors import FreshkeyError, ProtocolError, ProviderRefused
from freshkey.plugin import parse_json_object, path_flaw, run_helper
from freshkey_vertex.aws_ends import EXPIRATION, End, of_environment, of_section
from freshkey_vertex.aws_errors import expired, unusable
from freshkey_vertex.aws_files import SharedFiles
from freshkey_vertex.aws_machine import Listener
from freshkey_vertex.aws_tokens import TokenFile, container_headers
from freshkey_vertex.credentials_file import without_byte_order_mark


_FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"


@define(kw_only=True)
class Notes:
    """What botocore does not say about one look at its chain.

    Attributes:
        files: The shared files that it uses.
        ended: The error for the first keys that were passed over, because they have ended.
        listeners: What the places of this machine answered, by the name of their provider.
        answered: The header ``Date`` of the last answer of an AWS service, and when it arrived here.
    """

    files: SharedFiles
    ended: FreshkeyError | None = None
    listeners: dict[str, Listener] = field(factory=dict)
    answered: tuple[str, float] = ("", 0.0)
    _changed: set[int] = field(factory=set)

    def change(self, provider: Any) -> None:  # noqa: ANN401  botocore has no types
        """Change a provider of botocore, once."""
        change = _CHANGES.get(type(provider).__name__)
        if change is not None and id(provider) not in self._changed:
            self._changed.add(id(provider))
            change(provider, self)

    def note_answer(self, http_response: Any = None, **_facts: object) -> None:  # noqa: ANN401  botocore has no types
        """Note when an answer was sent; a handler of botocore's event ``after-call``."""
        if http_response is not None:
            self.answered = str(http_response.headers.get("Date", "")), time.time()

    @property
    def dated(self) -> tuple[str, float]:
        """When the last answer of a service or place was sent, and when it arrived, by this machine's clock."""
        return max([self.answered, *(one.dated for one in self.listeners.values())], key=lambda one: one[1])


def ended(where: str, end: End) -> FreshkeyError:
    """Return the error for keys that have ended, according to the tool that wrote them."""
    return expired(f"the AWS keys {where} expired at {end.at:%Y-%m-%d %H:%M:%S} UTC, according to {end.name}")


def _environment(provider: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    # botocore would fail for an end without a UTC offset.
    provider.environ = {name: value for name, value in os.environ.items() if name != EXPIRATION}
    _pass_over(provider, notes, "in the environment", lambda: of_environment(os.environ))


def _credentials_file(provider: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    provider._ini_parser = lambda _path: notes.files.credentials  # noqa: SLF001
    _of_profile(provider, notes)


def _config_file(provider: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    provider._config_parser = lambda _path: notes.files.config  # noqa: SLF001
    _of_profile(provider, notes)


def _of_profile(provider: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    name = provider._profile_name  # noqa: SLF001
    _pass_over(provider, notes, f"of AWS profile {name!r}", lambda: notes.files.end_of(name))


def _pass_over(provider: Any, notes: Notes, where: str, end_of: Callable[[], End | None]) -> None:  # noqa: ANN401
    """Have a provider of written-down keys find nothing once they have ended."""
    load = provider.load

    def checked() -> Any:  # noqa: ANN401  botocore has no types
        found = load()
        end = None if found is None else end_of()
        if end is None or not end.passed:
            return found
        notes.ended = notes.ended or ended(where, end)
        return None

    provider.load = checked


def _process(provider: Any, notes: Notes) -> None:  # noqa: ANN401, ARG001  one signature for all
    name = provider._profile_name  # noqa: SLF001
    provider._popen = lambda argv, **_pipes: _Process(argv, f"from credential_process of AWS profile {name!r}")  # noqa: SLF001


class _Process:
    """A credential process in place of ``subprocess.Popen``, whose keys are refused if they have ended under any name.

    Args:
        argv: The program and its arguments.
        where: Where the keys come from, for messages.
    """

    def __init__(self, argv: list[str], where: str) -> None:
        self._argv = argv
        self._where = where
        self.returncode = 0

    def communicate(self) -> tuple[bytes, bytes]:
        """Run it and return what it printed.

        It runs as every helper command does, but gets nearly the whole environment, as from the AWS CLI.

        Raises:
            ConfigurationError: There is no such program, or another user can change it.
            LoginRequired: The keys in it have ended.
            TransientError: It failed or took too long.
            ProtocolError: It printed nothing or too much.
        """
        printed = without_byte_order_mark(run_helper(self._argv, environ=os.environ).reveal().encode())
        end = None
        with suppress(ProtocolError):
            end = of_section(parse_json_object(printed))
        if end is not None and end.passed:
            raise ended(self._where, end)
        return printed, b""


def _web_identity(provider: Any, notes: Notes) -> None:  # noqa: ANN401, ARG001  one signature for all
    provider._token_loader_cls = TokenFile  # noqa: SLF001


def _container(provider: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    # For botocore, an empty variable is set.
    provider._environ = {name: value for name, value in os.environ.items() if value}  # noqa: SLF001
    provider._build_headers = container_headers  # noqa: SLF001
    fetcher = provider._fetcher  # noqa: SLF001
    allow = fetcher._validate_allowed_url  # noqa: SLF001
    fetcher._validate_allowed_url = lambda url: _ensure_allowed(allow, url)  # noqa: SLF001
    _ask_once(provider, fetcher, notes)


def _ensure_allowed(allow: Callable[[str], None], url: str) -> None:
    try:
        return allow(url)
    except ValueError:
        flaw = path_flaw(url.removeprefix("file:")) or "does not begin with https:// or http://"
    if urlsplit(url).scheme in {"http", "https"}:
        flaw = "names a host that is not allowed without https"
    raise unusable(f"the URL in {_FULL} {flaw}", "Use https, or http with the address that ECS or EKS set")


def _instance(provider: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    _ask_once(provider, provider._role_fetcher, notes)  # noqa: SLF001


def _ask_once(provider: Any, fetcher: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    # botocore has no setting for this; it would send each request three times, with pauses.
    fetcher.RETRY_ATTEMPTS, fetcher._sleep = 1, lambda _seconds: None  # noqa: SLF001
    fetcher._session = notes.listeners[type(provider).__name__] = Listener(fetcher._session)  # noqa: SLF001


def _assume_role(provider: Any, notes: Notes) -> None:  # noqa: ANN401  botocore has no types
    # botocore would prompt at the terminal, even for a renewal that no one asked for, and turn off its echo.
    provider._prompter = _refuse_to_ask  # noqa: SLF001
    for source in provider._credential_sourcer._providers:  # noqa: SLF001
        notes.change(source)
    builder = provider._profile_provider_builder  # noqa: SLF001
    build = builder.providers

    def changed(*args: Any, **named: Any) -> Any:  # noqa: ANN401  botocore has no types
        made = build(*args, **named)
        for one in made:
            notes.change(one)
        return made

    builder.providers = changed  # botocore creates those of a source profile on demand


def _refuse_to_ask(_prompt: str) -> str:
    raise ProviderRefused(
        "the AWS role requires an MFA code, and freshkey cannot prompt for one",
        hint="Use an AWS profile without mfa_serial, such as one that aws sso login signs in",
        code="vertex-no-identity-token",
    )


_CHANGES: Final[Mapping[str, Callable[[Any, Notes], None]]] = {
    "AssumeRoleProvider": _assume_role,
    "AssumeRoleWithWebIdentityProvider": _web_identity,
    "ConfigProvider": _config_file,
    "ContainerProvider": _container,
    "EnvProvider": _environment,
    "InstanceMetadataProvider": _instance,
    "ProcessProvider": _process,
    "SharedCredentialProvider": _credentials_file,
}
"""By the names of botocore's classes."""
