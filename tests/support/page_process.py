"""Runs the blocks of one page in order, in the current folder; started by `tests/test_blocks.py`.

Python blocks share their names, shell blocks and tests see the files that were written before. Nothing leaves the
machine. Reads a JSON list of steps from standard input.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any


def on_this_machine(host: object) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def without_network() -> None:
    """Refuse addresses of other machines, before a name is looked up."""
    really, look_up = socket.socket.connect, socket.getaddrinfo

    def connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not on_this_machine(address[0]):
            raise OSError(f"a page must not connect to {address[0]}")
        really(self, address)

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        if host is not None and not on_this_machine(host):
            raise OSError(f"a page must not look up {host}")
        return look_up(host, *rest, **more)

    socket.socket.connect = connect  # type: ignore[assignment]
    socket.getaddrinfo = getaddrinfo


def run(command: list[str], folder: str, where: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{where}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(0o600)


def main() -> None:
    without_network()
    names: dict[str, Any] = {"__name__": "__main__"}
    for step in json.load(sys.stdin):
        where, text = f"{step['page']}:{step['line']}", step["text"]
        if step["kind"] == "file" or (step["kind"] == "config" and not Path(step["path"]).exists()):
            write(Path(step["path"]), text)
        elif step["kind"] == "config":
            pass  # another example of the page is the configuration
        elif step["kind"] == "sh":
            run(["sh", "-eu", "-c", text], step["folder"], where)
        elif step["kind"] == "pytest":
            test = Path(f"test_line_{step['line']}.py")
            test.write_text(f"{step['setup']}\n{text}", "utf-8")
            run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", test.name], ".", where)
        else:
            exec(compile(step["setup"], f"{where} (setup)", "exec"), names)  # noqa: S102  text of our own pages
            code = "\n" * (step["line"] - 1) + text
            exec(compile(code, step["page"], "exec"), names)  # noqa: S102  text of our own pages


if __name__ == "__main__":
    main()
