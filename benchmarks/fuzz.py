"""Fuzzing of every parser of outside input: ``python -m benchmarks.fuzz --inputs 100000``.

Prints a row for each parser, and fails at a foreign exception, an error that quotes the planted secret, or an input
that takes half a second of CPU time. `tests/fuzz` runs a few inputs for each parser.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import secrets
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; exit code 0 if every input was handled, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many, over all parsers (default: 100,000)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    parser.add_argument("--target", default="", help="only the parsers whose name contains this text")
    parser.add_argument("--keep", type=Path, default=None, help="write inputs that fail into this directory")
    given = parser.parse_args(argv)
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    from fuzzing.registry import TARGETS
    from fuzzing.run import Row, fuzz, report

    chosen = [target for target in TARGETS if given.target in target.name]
    seed = secrets.randbelow(1 << 32) if given.seed is None else given.seed
    sys.stdout.write(f"seed {seed}\n")
    began, rows = time.process_time(), list[Row]()
    for target in chosen:
        share = -(-given.inputs // len(chosen))
        rows.append(fuzz(target, share, int.from_bytes(hashlib.sha256(f"{seed} {target.name}".encode()).digest()[:8])))
        sys.stdout.write(report(rows[-1]) + "\n")
        sys.stdout.flush()
        if given.keep is not None and rows[-1].failures:
            given.keep.mkdir(parents=True, exist_ok=True)
            for number, failure in enumerate(rows[-1].failures):
                (given.keep / f"{target.name.replace(' ', '-').replace('/', '-')}.{number}").write_bytes(failure.data)
    inputs, slowest = sum(row.inputs for row in rows), max(row.slowest for row in rows)
    failed = sum(row.failed for row in rows)
    spent = time.process_time() - began
    sys.stdout.write(f"{inputs} inputs, {failed} failed, slowest {slowest:.3f} s, {spent:.0f} s of CPU time in all\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
