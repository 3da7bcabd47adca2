"""``freshkey trust FILE`` for a file that an environment variable names inside a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from freshkey.admin import TrustedFiles, file_question, file_to_trust, refuse_state_in_project, variables_naming
from freshkey_cli import exits
from freshkey_cli.trust_question import ask, expect_digest


if TYPE_CHECKING:
    from freshkey_cli.context import Context


def trust_file(context: Context, path: Path) -> int:
    """Trust a file with its present content, which is read once: what was shown and what is trusted are the same."""
    state_dir = context.configuration.state_dir
    refuse_state_in_project(state_dir)
    wanted = file_to_trust(path)
    expect_digest(context, wanted.file, wanted.digest)
    named = variables_naming(wanted.file)
    kept = TrustedFiles(state_dir)
    if kept.find(wanted.file) != wanted:
        if not context.arguments.yes:
            ask(context, wanted.file, file_question(wanted, named))
        kept.remember(wanted)
    value = {"file": str(wanted.file), "digest": wanted.digest, "named_by": list(named)}
    context.out.result(value, [f"Trusted: {wanted.file}", f"SHA-256 of {wanted.file}: {wanted.digest}"])
    return exits.OK
