"""The command line: parse, run, print. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from freshkey.errors import FreshkeyError
from freshkey_cli import commands, exits, process, streams
from freshkey_cli.output import Output
from freshkey_cli.parser import own_words, parse


if TYPE_CHECKING:
    from freshkey_cli.context import KeeperFactory


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line as the main program of this process and return the exit code.

    Other processes cannot read this one's memory, and signals let a renewal in progress finish.
    """
    process.own_environment()
    process.harden()
    process.whole_streams()
    streams.prepare()
    process.quiet_libraries(lambda line: Output().instruct(line))
    with process.orderly_signals(_restore_terminal):
        return run(argv)


def run(
    argv: Sequence[str] | None = None,
    *,
    keeper_factory: KeeperFactory | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Run one command and return its exit code.

    Args:
        argv: Arguments; the default is those of the process.
        keeper_factory: Creates the keeper; the default is `freshkey.keeper.Keeper`.
        environ: Environment variables that locate the configuration and the desktop.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    out = Output(as_json="--json" in own_words(words))
    try:
        return _run(words, out, keeper_factory, environ)
    except FreshkeyError as error:
        if isinstance(error, exits.UnwritableError):
            _drop_the_rest()
        out.error(error)
        return exits.code_of(error)
    except process.Stopped:
        raise
    except KeyboardInterrupt:
        out.instruct("freshkey: interrupted")
        return exits.INTERRUPTED
    except BrokenPipeError:  # the reader of the output is gone
        _drop_the_rest()
        return exits.BROKEN_PIPE
    finally:
        _restore_terminal()


def _run(words: Sequence[str], out: Output, keeper_factory: KeeperFactory | None, environ: Mapping[str, str]) -> int:
    try:
        parsed = parse(words)
    except SystemExit as printed:
        out.finish()
        return int(printed.code or exits.OK)
    if rivals := commands.rivals_of(parsed.name):
        # Freshkey's own command runs all the same: otherwise any package could stop it.
        out.say(f"{' and '.join(rivals)} also provides a command {parsed.name!r}, which was not used: uninstall it")
    from freshkey import Configuration
    from freshkey_cli.context import Context

    arguments = parsed.arguments
    ours = vars(arguments) if parsed.name in commands.OWN else {}  # a third-party command gives --store its own meaning
    configuration = Configuration.load(
        environ,
        store=ours.get("store"),
        bare=ours.get("bare", False),
        overrides=dict(ours.get("overrides", [])),
    )
    return parsed.command.run(
        Context(
            arguments=arguments, out=out, configuration=configuration, environ=environ, keeper_factory=keeper_factory
        )
    )


def _drop_the_rest() -> None:
    """Discard unwritten output: the interpreter would fail again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _restore_terminal() -> None:
    """Restore the terminal after reading a pasted code, if `hidden_input` was loaded at all."""
    hidden_input = sys.modules.get("freshkey_cli.hidden_input")
    if hidden_input is not None:
        hidden_input.restore()
