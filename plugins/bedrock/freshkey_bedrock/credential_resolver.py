"""botocore's provider chain, restricted: no fallback from an explicit profile, no unbounded processes, no prompts.

botocore ends every lookup with the container and the instance, even if an AWS profile was named that has no
credentials; the program would then run under the wrong identity.

Keys that have ended, according to the tool that wrote them, are passed over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, found_here
from freshkey.plugin import Profile
from freshkey_bedrock.aws_keys import RENEW
from freshkey_bedrock.cli_caches import CheckedCache, login_session, sso_session
from freshkey_bedrock.credential_process import CredentialProcess
from freshkey_bedrock.environment_keys import EXPIRATION, environment_end
from freshkey_bedrock.instance_metadata import on_instance
from freshkey_bedrock.machine_credentials import LastAnswer, container_failure, instance_failure
from freshkey_bedrock.paths import url_flaw
from freshkey_bedrock.shared_config import KeysEnd, SharedFiles
from freshkey_bedrock.token_files import IdentityToken, container_headers


if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_OUTSIDE_PROFILE: Final = ("BotoProvider", "ContainerProvider", "InstanceMetadataProvider", "OriginalEC2Provider")

_OF_ANSWERS: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What botocore raises, besides its own errors, for an answer that lacks what it expects."""


@define(kw_only=True)
class Lookup:
    """One lookup with botocore, and what its exceptions do not say.

    Attributes:
        profile: The profile, for messages.
        files: The shared AWS files.
        ends: Deadline of the lookup, as a `time.monotonic` value.
        now: Time of the lookup, in seconds since 1970-01-01T00:00:00Z.
        ended: Keys that were passed over, because they have ended.
        renewal_failure: Why the session of ``aws sso login`` could not be renewed, unless it has ended.
        answered: Whether an AWS service, or something that answers in its place, has answered.
        dated: When the last answer was sent, as its header says, and when it arrived, by this machine's clock.
        machine_failure: Why the container endpoint or the instance metadata gave no credentials.
        sign_in_expected: Credentials are expected from a sign-in, and the machine's are only what botocore tries last.
    """

    profile: Profile
    files: SharedFiles
    ends: float
    now: float
    ended: list[KeysEnd] = field(factory=list)
    renewal_failure: FreshkeyError | None = None
    answered: bool = False
    dated: tuple[str, float] = ("", 0.0)
    machine_failure: FreshkeyError | None = None
    sign_in_expected: bool = False
    _restricted: set[int] = field(factory=set)

    def restrict(self, provider: Any) -> None:  # noqa: ANN401  botocore has no types
        """Change a provider of botocore, once."""
        change = _CHANGES.get(type(provider).__name__)
        if change is not None and id(provider) not in self._restricted:
            self._restricted.add(id(provider))
            change(provider, self)

    def note_answer(self, http_response: Any = None, **_facts: object) -> None:  # noqa: ANN401  botocore has no types
        """Note that a request was answered, and the answer could be parsed; a handler of botocore's events."""
        self.answered = True
        if http_response is not None:
            self.dated = http_response.headers.get("Date", ""), time.time()

    def cause(self, error: Exception | None = None) -> FreshkeyError | None:
        """Return what is behind botocore's exception, or behind its finding nothing; None if this does not know."""
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if self.renewal_failure is not None and kinds & {"TokenRetrievalError", "SSOError"}:
            return self.renewal_failure
        if self.answered and isinstance(error, _OF_ANSWERS) and not type(error).__module__.startswith("botocore"):
            from freshkey_bedrock.botocore_errors import garbled

            return garbled()
        if "RuntimeError" in kinds:
            from freshkey_bedrock.botocore_errors import clock_ahead

            return clock_ahead(error, *self.dated)
        if self.ended and kinds & {"NoneType", "InvalidConfigError", "CredentialRetrievalError"}:
            return keys_ended(self.ended[0], self.profile)
        if "CredentialRetrievalError" in kinds or (error is None and not self.sign_in_expected):
            return self.machine_failure
        return None


def keys_ended(end: KeysEnd, profile: Profile) -> LoginRequired:
    """Return the error for keys that have ended, according to the tool that wrote them."""
    message = f"the AWS credentials ended at {end.at:%Y-%m-%d %H:%M:%S} UTC, according to {end.where}"
    return found_here(LoginRequired(message, profile=profile.name, hint=RENEW, code="bedrock-aws-credentials-expired"))


def restricted_resolver(session: Any, lookup: Lookup) -> Any:  # noqa: ANN401  botocore has no types
    """Return the resolver of a botocore session, changed where botocore could block forever or read without limit.

    botocore has no parameters for this, so attributes of its providers are replaced. Tests against the real library
    fail if those are ever renamed. See docs/decisions.md, "botocore does the work, with limits and without its log".

    Args:
        session: The botocore session.
        lookup: The lookup.
    """
    from botocore.credentials import create_credential_resolver

    session.register("after-call", lookup.note_answer)
    resolver = create_credential_resolver(session)
    resolver.providers = [provider for provider in resolver.providers if not _ruled_out(provider, session)]
    for provider in resolver.providers:
        lookup.restrict(provider)
    return resolver


def _ruled_out(provider: Any, session: Any) -> bool:  # noqa: ANN401  botocore has no types
    """Return whether a provider is outside the named AWS profile, or would query instance metadata off EC2."""
    kind = type(provider).__name__
    if session.instance_variables().get("profile") is not None:
        return kind in _OUTSIDE_PROFILE
    return kind == "InstanceMetadataProvider" and not on_instance()


def _environment(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    """Read the end of the keys as freshkey does; botocore would fail for an end without a UTC offset."""
    provider.environ = {name: value for name, value in os.environ.items() if name != EXPIRATION}
    _skip_if_ended(provider, lookup, environment_end)


def _credentials_file(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    provider._ini_parser = lambda _path: lookup.files.credentials_for_botocore()  # noqa: SLF001
    _skip_if_ended(provider, lookup, lambda: lookup.files.keys_end(provider._profile_name))  # noqa: SLF001


def _config_file(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    from botocore.configloader import build_profile_map

    provider._config_parser = lambda _path: build_profile_map(lookup.files.config_for_botocore())  # noqa: SLF001
    _skip_if_ended(provider, lookup, lambda: lookup.files.keys_end(provider._profile_name))  # noqa: SLF001


def _skip_if_ended(provider: Any, lookup: Lookup, end_of: Callable[[], KeysEnd | None]) -> None:  # noqa: ANN401
    """Have a provider of written-down keys find nothing once they have ended, and say when they end otherwise."""
    load = provider.load

    def checked() -> Any:  # noqa: ANN401  botocore has no types
        found = load()
        end = None if found is None else end_of()
        if end is None:
            return found
        if end.at.timestamp() <= lookup.now:
            lookup.ended.append(end)
            return None
        found._expiry_time = end.at  # noqa: SLF001
        return found

    provider.load = checked


def _process(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    def start(argv: list[str], **_pipes: object) -> CredentialProcess:
        return CredentialProcess(argv, lookup.ends, lookup.profile, lookup.now)

    provider._popen = start  # noqa: SLF001


def _sso(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    from botocore.utils import SSOTokenLoader

    def checked(cache: Any) -> CheckedCache:  # noqa: ANN401  botocore has no types
        return CheckedCache(cache, sso_session, command="sso login", aws_profile=provider._profile_name)  # noqa: SLF001

    provider._token_cache = checked(provider._token_cache)  # noqa: SLF001
    tokens = provider._token_provider  # noqa: SLF001
    tokens._cache = checked(tokens._cache)  # noqa: SLF001
    tokens._token_loader = SSOTokenLoader(cache=tokens._cache)  # noqa: SLF001
    _remember_failed_renewal(tokens, lookup)


def _remember_failed_renewal(tokens: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    """Keep why a session could not be renewed: botocore reports each reason as a session that has expired."""
    from botocore.exceptions import ClientError

    renew = tokens._attempt_create_token  # noqa: SLF001

    def remembering(token: Any) -> Any:  # noqa: ANN401  botocore has no types
        try:
            return renew(token)
        except ClientError as error:
            lookup.renewal_failure = _unless_sign_in_ended(error, lookup.now)
            raise

    tokens._attempt_create_token = remembering  # noqa: SLF001


def _unless_sign_in_ended(error: ClientError, now: float) -> FreshkeyError | None:
    from freshkey_bedrock.errors import client_error

    failure = client_error(error, now=now)
    return None if isinstance(failure, LoginRequired) else failure


def _login(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401, ARG001  one signature for all
    name = provider._profile_name  # noqa: SLF001
    provider._token_cache = CheckedCache(  # noqa: SLF001
        provider._token_cache,  # noqa: SLF001
        login_session,
        command="login",
        aws_profile=name,
    )


def _container(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    """Send one request, without botocore's pause after the last attempt; keep how it was answered."""
    # For botocore, an empty variable is set.
    provider._environ = {name: value for name, value in os.environ.items() if value}  # noqa: SLF001
    provider._build_headers = lambda: container_headers(os.environ)  # noqa: SLF001
    fetcher = provider._fetcher  # noqa: SLF001
    allow = fetcher._validate_allowed_url  # noqa: SLF001
    fetcher._validate_allowed_url = lambda url: _allowed(allow, url)  # noqa: SLF001
    fetcher.RETRY_ATTEMPTS = 1
    fetcher._sleep = lambda _seconds: None  # noqa: SLF001
    last = LastAnswer()
    last.watch(fetcher._session)  # noqa: SLF001
    get = fetcher._get_response  # noqa: SLF001

    def answered(url: str, *args: Any) -> Any:  # noqa: ANN401  botocore has no types
        try:
            response = get(url, *args)
        except Exception:
            lookup.machine_failure = container_failure(last, url)
            raise
        lookup.note_answer()
        lookup.dated = last.date, time.time()
        return response

    fetcher._get_response = answered  # noqa: SLF001


def _allowed(allow: Callable[[str], None], url: str) -> None:
    """Raise if botocore does not allow the URL of a container endpoint."""
    try:
        allow(url)
    except ValueError:
        pass
    else:
        return
    flaw = "names a host that is not allowed without https" if url.startswith("http://") else url_flaw(url)
    raise ConfigurationError(
        f"the URL in AWS_CONTAINER_CREDENTIALS_FULL_URI {flaw}",
        hint="Use https, or http with a loopback address or the address that ECS or EKS set",
        code="bedrock-invalid-aws-config",
    )


def _web_identity(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401, ARG001  one signature for all
    provider._token_loader_cls = IdentityToken  # noqa: SLF001


def _instance(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    """Keep why there is nothing: botocore finds nothing, whether there is no role or no service yet."""
    from botocore.exceptions import MetadataRetrievalError

    last = LastAnswer()
    last.watch(provider._role_fetcher._session)  # noqa: SLF001
    load = provider.load

    def explained() -> Any:  # noqa: ANN401  botocore has no types
        try:
            found = load()
        except MetadataRetrievalError:  # requests without a token are turned off, and there is none
            found = None
        lookup.machine_failure = None if found is not None else instance_failure(last)
        return found

    provider.load = explained


def _assume_role(provider: Any, lookup: Lookup) -> None:  # noqa: ANN401  botocore has no types
    """Refuse to prompt, and restrict the providers of source profiles, which botocore creates on demand."""
    provider._prompter = _refusal(lookup.profile)  # noqa: SLF001
    for source in provider._credential_sourcer._providers:  # noqa: SLF001
        lookup.restrict(source)
    builder = provider._profile_provider_builder  # noqa: SLF001
    build = builder.providers

    def restricted(*args: Any, **named: Any) -> Any:  # noqa: ANN401  botocore has no types
        made = build(*args, **named)
        for one in made:
            lookup.restrict(one)
        return made

    builder.providers = restricted


_CHANGES: Final[dict[str, Callable[[Any, Lookup], None]]] = {
    "AssumeRoleProvider": _assume_role,
    "ConfigProvider": _config_file,
    "AssumeRoleWithWebIdentityProvider": _web_identity,
    "ContainerProvider": _container,
    "EnvProvider": _environment,
    "InstanceMetadataProvider": _instance,
    "LoginProvider": _login,
    "ProcessProvider": _process,
    "SSOProvider": _sso,
    "SharedCredentialProvider": _credentials_file,
}


def _refusal(profile: Profile) -> Any:  # noqa: ANN401  a callback for botocore
    def refuse(_prompt: str) -> str:
        raise LoginRequired(
            "the AWS role requires an MFA code, and freshkey cannot prompt for one",
            profile=profile.name,
            hint="Use an AWS profile without mfa_serial, such as one that aws sso login signs in",
            code="bedrock-mfa-required",
        )

    return refuse
