"""What mkdocs asks while it builds the site: files of the repository that a page links to become pages as well.

Pages link to files by relative paths, `../examples/gracehttp.toml`, since that works where the repository is looked at.
The site holds what is under `docs`, and the address of the repository is not part of it. So each file that is linked to
gets a page under `repository/`, and so does each file that those pages link to; the links lead there.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "sh", ".yml": "yaml", ".json": "json"}
PAGES_ALWAYS = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE")

_FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that is linked to, from wherever."""
    pages = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    known = set(pages)
    waiting = [*pages, *PAGES_ALWAYS]
    while waiting:
        path = waiting.pop()
        if path not in known:
            known.add(path)
            files.append(File.generated(config, site_path(path), content=page_of(path)))
        if (ROOT / path).is_dir():
            waiting += [one for one in _listed(path) if not in_site(one) and one not in known]
        elif path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            waiting += [target for target in targets(text, path) if not in_site(target) and target not in known]
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a page lead to the pages that stand for files of the repository."""
    path = repository_path(page.file.src_uri)
    return with_links(markdown, path) if path.endswith(".md") else markdown


def with_links(text: str, path: str) -> str:
    """`text`, which stands at `path` in the repository, with links between pages of the site."""
    start = posixpath.dirname(site_path(path))

    def moved(link: re.Match[str]) -> str:
        target = _target(link[2], path)
        if not (ROOT / target).exists():
            return link[0]  # mkdocs tells that it leads nowhere
        return f"{link[1]}{posixpath.relpath(site_path(target), start or '.')}{link[3]}"

    return "".join(part if fenced else _LINK.sub(moved, part) for fenced, part in _parts(text))


def targets(text: str, path: str) -> list[str]:
    """The files, by their paths in the repository, to which `text` at `path` links."""
    found = [_target(link[2], path) for fenced, part in _parts(text) if not fenced for link in _LINK.finditer(part)]
    return [target for target in found if (ROOT / target).exists()]


def site_path(path: str) -> str:
    """Where the site has the page of a file of the repository."""
    if in_site(path):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"repository/{path}/index.md"
    return f"repository/{path}" if path.endswith(".md") else f"repository/{path}.md"


def repository_path(site: str) -> str:
    """Which file of the repository a page of the site shows."""
    if not site.startswith("repository/"):
        return f"docs/{site}"
    path = site.removeprefix("repository/")
    if path.endswith("/index.md") and (ROOT / path.removesuffix("/index.md")).is_dir():
        return path.removesuffix("/index.md")
    return path if (ROOT / path).is_file() else path.removesuffix(".md")


def in_site(path: str) -> bool:
    """Whether mkdocs takes the file as it is: all under `docs` but scripts and folders."""
    return path.startswith("docs/") and not path.endswith(".py") and (ROOT / path).is_file()


def page_of(path: str) -> str:
    """A file of the repository as Markdown."""
    file = ROOT / path
    if file.is_dir():
        start = posixpath.dirname(site_path(path))
        links = [f"- [{_title(one)}]({posixpath.relpath(site_path(one), start)})\n" for one in _listed(path)]
        return f"# {path}\n\n" + "".join(links)
    text = file.read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    return f"# {path}\n\n````{LANGUAGES.get(file.suffix, '')}\n{text.rstrip()}\n````\n"


def _listed(folder: str) -> list[str]:
    """The files of a folder, by their paths in the repository."""
    files = (one for one in (ROOT / folder).iterdir() if one.is_file() and not one.name.startswith((".", "_")))
    return sorted(f"{folder}/{one.name}" for one in files)


def _title(path: str) -> str:
    """The heading of a page, or the name of a file."""
    file = ROOT / path
    first = file.read_text(encoding="utf-8").partition("\n")[0] if path.endswith(".md") else ""
    return first.removeprefix("# ") if first.startswith("# ") else file.name


def _target(link: str, path: str) -> str:
    return os.path.normpath(posixpath.join(posixpath.dirname(path), link))


def _parts(text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces: whether one is a block of code, in which nothing is a link, and the piece."""
    position = 0
    for fence in _FENCE.finditer(text):
        yield False, text[position : fence.start()]
        yield True, fence[0]
        position = fence.end()
    yield False, text[position:]
