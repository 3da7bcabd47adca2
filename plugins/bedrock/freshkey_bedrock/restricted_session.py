"""botocore sessions that read the shared AWS files as freshkey does, and send every request once."""

from __future__ import annotations

from typing import Any

from freshkey_bedrock.instance_metadata import LIMITS
from freshkey_bedrock.own_files import ensure_https
from freshkey_bedrock.shared_config import SharedFiles, read_files


def session(named: str | None, region: str, *, preferred: str | None = None, files: SharedFiles | None = None) -> Any:  # noqa: ANN401  botocore has no types
    """Return a new botocore session, with nothing cached from earlier lookups.

    Args:
        named: AWS profile to use instead of the environment.
        region: Region of its clients.
        preferred: AWS profile to use where the environment has no credentials, as if ``AWS_PROFILE`` were set to it.
        files: The shared AWS files; read now if None.

    Raises:
        ConfigurationError: A shared AWS file is malformed.
    """
    from botocore.config import Config
    from botocore.configprovider import ConstantProvider
    from botocore.session import Session

    fresh = Session(profile=named)
    # Variables and files can name another endpoint for each service, and botocore accepts any scheme.
    fresh.register("before-send", lambda request, **_facts: ensure_https(request.url))
    fresh._config = _merged(files or read_files())  # noqa: SLF001
    fresh.get_partition_for_region(region)  # raises if no AWS partition has such a region
    fresh.set_config_variable("region", region)
    for variable, value in LIMITS:
        fresh.set_config_variable(variable, value)
    if named is None and preferred is not None:
        # As an argument, it would make botocore ignore the environment.
        fresh.get_component("config_store").set_config_provider("profile", ConstantProvider(preferred))
    # The core retries, with growing pauses. See docs/decisions.md, "botocore sends every request once".
    fresh.set_default_client_config(Config(retries={"total_max_attempts": 1}))
    return fresh


def _merged(files: SharedFiles) -> Any:  # noqa: ANN401  botocore has no types
    """Return both files as botocore's ``Session.full_config`` would."""
    from botocore.configloader import build_profile_map

    config = build_profile_map(files.config_for_botocore())
    for title, section in files.credentials_for_botocore().items():
        config["profiles"].setdefault(title, {}).update(section)
    return config
