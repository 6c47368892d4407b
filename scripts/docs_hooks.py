"""What MkDocs does beyond docs/ (`hooks` in mkdocs.yml): pages that are made of the code, and documents of the project
that lie elsewhere. No page has a second copy in the repository.

Run it as `python -m mkdocs`, from the root: that is where `scripts` is found.
"""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from scripts.docs_links import ROOT, Outside, relinked
from scripts.docs_reference import pages
from scripts.docs_tables import without_diagrams

GENERATED: dict[str, str | bytes] = {}
ELSEWHERE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the pages, and put those that a pattern of the navigation stands for in its place."""
    docs = Path(config.docs_dir)
    written = {path.relative_to(docs).as_posix(): path for path in docs.rglob("*.md")}
    GENERATED.clear()
    GENERATED.update(pages(docs))
    outside = Outside([ROOT / name for name in ELSEWHERE])
    for path in written.values():
        outside.follow(path.read_text(), path)
    GENERATED.update(outside.files())
    config.nav = expanded(config.nav, sorted({*written, *GENERATED}))
    return config


def expanded(nav: Any, names: list[str]) -> Any:
    """A navigation in which each pattern is the list of pages that it fits, an index first."""
    if isinstance(nav, list):
        return [expanded(item, names) for item in nav]
    if isinstance(nav, dict):
        return {title: expanded(item, names) for title, item in nav.items()}
    if "*" not in nav:
        return nav
    fitting = [name for name in names if Path(name).match(nav)]
    return sorted(fitting, key=lambda name: (not name.endswith("index.md"), name))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    for uri, content in GENERATED.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are on the site, and no diagram that would need a script from elsewhere."""
    if page.file.src_uri in GENERATED:
        return markdown
    source = Path(config.docs_dir) / page.file.src_uri
    return without_diagrams(relinked(markdown, source, page.file.src_uri))
