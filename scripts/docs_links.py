"""Links between documents, as they have to be on the site: a document that lies outside of docs/ stands below
`project/` there, under its own path, and so does every file that one of them links to."""

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
PREFIX = "project"

LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|#)([^)\s#]+)")
TO_FOLDER = re.compile(r"\[([^\]]*)\]\((?!https?://|mailto:|#)([^)\s#]+)\)")


def uri_of(path: Path) -> str:
    """Where a file of the project stands on the site."""
    if path == DECISIONS:
        return "decisions/index.md"
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return f"{PREFIX}/{path.relative_to(ROOT).as_posix()}"


def relinked(markdown: str, source: Path, uri: str) -> str:
    """A document with the links that it needs where it stands on the site. source: the file; uri: its place there.

    A link to a folder that is not on the site becomes its text.
    """

    def link(found: re.Match[str]) -> str:
        target = _target(source, found[1])
        return posixpath.relpath(uri_of(target), posixpath.dirname(uri) or ".") if target.exists() else found[1]

    def folder(found: re.Match[str]) -> str:
        target = _target(source, found[2])
        return found[1] if target.is_dir() and target != DECISIONS else found[0]

    return LINK.sub(link, TO_FOLDER.sub(folder, markdown))


def _target(source: Path, link: str) -> Path:
    return (source.parent / link).resolve()


class Outside:
    """The files outside of docs/ that the site needs: some to begin with, and all that they and docs/ link to."""

    def __init__(self, begin: Iterable[Path]) -> None:
        self._found: dict[Path, None] = {}
        for path in begin:
            self._take(path)

    def follow(self, markdown: str, source: Path) -> None:
        """Take what a document links to."""
        for link in LINK.findall(markdown):
            target = _target(source, link)
            if target.is_file() and target.is_relative_to(ROOT) and not target.is_relative_to(DOCS):
                self._take(target)

    def _take(self, path: Path) -> None:
        if path in self._found:
            return
        self._found[path] = None
        if path.suffix == ".md":
            self.follow(path.read_text(), path)

    def files(self) -> dict[str, str | bytes]:
        """Their contents, by their place on the site."""
        return {uri_of(path): self._content(path) for path in self._found}

    def _content(self, path: Path) -> str | bytes:
        return relinked(path.read_text(), path, uri_of(path)) if path.suffix == ".md" else path.read_bytes()
