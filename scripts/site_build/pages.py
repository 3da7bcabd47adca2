"""Hooks of mkdocs: pages that are elsewhere in the repository, and links that hold on the site and on GitHub alike.

Every page links to others by their place in the repository. A link to a page is turned into one to its place on the
site; of a link to a file that is not a page, such as a module, only the text remains.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mkdocs.structure.files import File


if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parents[2]

STYLE: Final = Path(__file__).with_name("site.css")

PAGES: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "RELEASING.md": "project/releasing.md",
    "SECURITY.md": "project/security.md",
    "core/README.md": "packages/core.md",
} | {
    readme.relative_to(ROOT).as_posix(): f"packages/{readme.parent.name}.md"
    for readme in sorted(ROOT.glob("plugins/*/README.md"))
}
"""Where a page outside docs/ is on the site."""

_PLACES: Final = {page: place for place, page in PAGES.items()}

_LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")

_INCLUDE: Final = re.compile(r"^<!-- include: (docs/\S+\.py) -->$", re.MULTILINE)

_BLOCK: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are outside docs/, and the style sheet."""
    files.append(File.generated(config, STYLE.name, abs_src_path=str(STYLE)))
    for place, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Show the programs that a page includes, and turn links to files of the repository into links to pages."""
    return linked(_INCLUDE.sub(_program, markdown), page.file.src_uri)


def _program(found: re.Match[str]) -> str:
    return f"```python\n{(ROOT / found[1]).read_text('utf-8')}```"


def linked(markdown: str, page: str) -> str:
    """Return a page's text with the links that the site needs.

    Args:
        markdown: The text.
        page: Its place on the site.
    """
    folder = posixpath.dirname(_PLACES.get(page, f"docs/{page}"))

    def on_site(link: re.Match[str]) -> str:
        text, target, heading = link.groups()
        place = posixpath.normpath(posixpath.join(folder, target))
        there = _page(place)
        if there is None:
            # What is below docs/ is there; what does not exist is left as it is, and mkdocs complains.
            outside = not place.startswith("docs/")
            return text if outside and (ROOT / place).exists() else link[0]
        return f"[{text}]({posixpath.relpath(there, posixpath.dirname(page) or '.')}{heading or ''})"

    parts = _BLOCK.split(markdown)
    parts[::2] = (_LINK.sub(on_site, text) for text in parts[::2])
    return "".join(parts)


def _page(place: str) -> str | None:
    """Return where a file of the repository is on the site, or None; a folder is its README."""
    for file in (place, f"{place}/README.md"):
        if file in PAGES:
            return PAGES[file]
    return place.removeprefix("docs/") if place.startswith("docs/") and place.endswith(".md") else None
