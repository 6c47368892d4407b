"""The notes of a release, cut out of CHANGELOG.md: `python scripts/release_notes.py v0.1.0 > notes.md`.

It refuses (exit code 1) what must not be released: a tag that is not the version in pyproject.toml, a version without
a section in the changelog, an empty section, or one that still says "unreleased".
"""

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# "## 0.1.0 - 2026-12-01"; the day is the day of the release.
HEADING = re.compile(r"^## (?P<version>\d+\.\d+\.\d+) - (?P<day>\d{4}-\d{2}-\d{2}|unreleased)$", re.MULTILINE)
TAG = re.compile(r"v(?P<version>\d+\.\d+\.\d+)")


class NotReleasable(Exception):
    """Why there are no notes."""


def notes(tag: str, version: str, changelog: str) -> str:
    """The text under the heading of the version that a tag names. Raises NotReleasable."""
    match = TAG.fullmatch(tag)
    if match is None:
        raise NotReleasable(f"the tag {tag} is not of the form v1.2.3")
    if match["version"] != version:
        raise NotReleasable(f"the tag is {tag}, but pyproject.toml says {version}")
    headings = list(HEADING.finditer(changelog))
    found = [heading for heading in headings if heading["version"] == version]
    if len(found) != 1:
        raise NotReleasable(f"CHANGELOG.md has {len(found)} sections for {version}, not one")
    (heading,) = found
    if heading["day"] == "unreleased":
        raise NotReleasable(f"CHANGELOG.md says that {version} is unreleased: write the day of the release")
    after = [later.start() for later in headings if later.start() > heading.start()]
    text = changelog[heading.end() : min(after, default=len(changelog))].strip()
    if not text:
        raise NotReleasable(f"the section of {version} in CHANGELOG.md is empty")
    return text + "\n"


def main(arguments: Sequence[str]) -> int:
    """Print the notes of a tag."""
    (tag,) = arguments
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        text = notes(tag, version, (ROOT / "CHANGELOG.md").read_text())
    except NotReleasable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
