"""Sign in with a real browser: Debian's Chromium, headless, driven through the pages of the real servers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

from counterparts.pages import ANSWERS, MAX_PAGES
from counterparts.requires import require


if TYPE_CHECKING:
    from playwright.sync_api import Page


FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The server's pages load fonts from the internet, and tests must not leave this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
SCRIPT: Final = """\
#!{python}
import sys

sys.path.insert(0, {support!r})
from counterparts.browser import sign_in

sign_in(sys.argv[1])
"""


@contextmanager
def chromium_page() -> Iterator[Page]:
    """Open an empty page in a new Chromium with its own profile; not for use inside a running event loop."""
    require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=list(FLAGS), timeout=30_000)
        try:
            page = browser.new_page()
            page.set_default_timeout(20_000)
            yield page
        finally:
            browser.close()


def sign_in(url: str) -> str:
    """Open an authorization URL, log in, consent, and return the text of the last page."""
    with chromium_page() as page:
        page.goto(url)
        server = page.evaluate("location.origin")
        for _ in range(MAX_PAGES):
            if page.evaluate("location.origin") != server:
                return page.inner_text("body")
            _answer(page)
    raise AssertionError(f"the pages of {server} never ended")


def _answer(page: Page) -> None:
    for name, value in ANSWERS.items():
        if page.locator(f"input[name={name}]").count():
            page.fill(f"input[name={name}]", value)
    with page.expect_navigation():
        page.click("input[name=allow], button[type=submit]")


def browser_script(folder: Path) -> Path:
    """Write a program that takes a URL and signs in automatically; set `$BROWSER` to its path.

    `webbrowser` reads that variable once per process: set it for a process you start. It waits for the program to end;
    `BROWSER="PATH %s &"` makes it return at once, like a browser that is already open.
    """
    script = folder / "sign-in-browser"
    script.write_text(SCRIPT.format(python=sys.executable, support=str(Path(__file__).resolve().parents[1])))
    script.chmod(0o700)
    return script
