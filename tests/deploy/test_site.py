"""The documentation site: it is built without a warning, holds everything, asks no other host, and search finds."""

import ast
import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import typer

from interop.cli import app
from scripts.docs_cli import PROGRAM, commands
from scripts.docs_links import relinked, uri_of
from scripts.docs_reference import modules
from scripts.docs_rest import description
from scripts.docs_tables import table, without_diagrams
from tests.conftest import ROOT
from tests.e2e.chromium import Tab, browser
from tests.e2e.doors import eventually

__all__ = ["browser"]

pytestmark = pytest.mark.slow

BUILD_SECONDS = 100
DOCS = ROOT / "docs"
# What a browser fetches by itself, by the attribute that names it. `canonical` and plain links are not among them.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data", "link": "href"}
FOLLOWED = {"canonical", "prev", "next", "edit", "author", "license"}


class Fetches(HTMLParser):
    """The addresses that a page makes the browser ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in FETCHED and given.get("rel") not in FOLLOWED and (address := given.get(FETCHED[tag])):
            self.found.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=BUILD_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # pages out of the navigation, links and anchors that lead nowhere
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site on a web server that knows nothing but files."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def text_of(site: Path, page: str) -> str:
    return re.sub(r"<[^>]+>", "", (site / page / "index.html").read_text())


def test_every_written_page_is_on_the_site_and_in_its_navigation(site: Path) -> None:
    navigation = (site / "index.html").read_text()
    for path in DOCS.rglob("*.md"):
        place = path.relative_to(DOCS).with_suffix("").as_posix()
        assert (site / place / "index.html").exists() or place == "index", place
        assert f'href="{place}/"' in navigation or place == "index" or place.startswith("decisions/"), place
    decisions = (site / "decisions" / "index.html").read_text()
    for path in (DOCS / "decisions").glob("*.md"):
        assert f'href="{path.stem}/"' in decisions


def test_readme_changelog_and_contributing_are_there_as_they_are(site: Path) -> None:
    for name, words in (
        ("", "It says what it does not know"),
        ("CHANGELOG", "What users notice"),
        ("CONTRIBUTING", "One word"),
    ):
        assert words in text_of(site, f"project/{name}")


def test_no_page_makes_a_browser_ask_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        parser = Fetches()
        parser.feed(page.read_text())
        assert parser.found or page.name == "404.html"
        assert [one for one in parser.found if urlsplit(one).netloc] == [], page
        assert 'class="mermaid"' not in page.read_text(), page  # it would load a script from a CDN
    for sheet in site.rglob("*.css"):
        fetched = re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", sheet.read_text())
        assert [one for one in fetched if urlsplit(one).netloc] == [], sheet


def test_the_reference_lists_every_command_with_every_option(site: Path) -> None:
    page = text_of(site, "reference/cli")
    found = list(commands(typer.main.get_command(app), PROGRAM))
    assert len(found) > 30
    for name, command in found:
        assert name in page
        for parameter in command.params:
            for option in parameter.opts:
                assert option in page, f"{name} {option}"


def test_the_reference_lists_every_path_and_gives_the_description(site: Path) -> None:
    page = text_of(site, "reference/rest")
    paths = description()["paths"]
    assert json.loads((site / "reference/openapi.json").read_bytes())["paths"] == paths
    for path in paths:
        assert path in page
    assert "ecg_signal" in page
    assert "recommendations[].urgency" in page


def test_the_reference_lists_every_type_definition_and_code(site: Path) -> None:
    page = text_of(site, "reference/capability")
    statement = json.loads((site / "reference/capability-statement.json").read_bytes())
    for resource in statement["rest"][0]["resource"]:
        assert resource["type"] in page
    definitions = list((site / "reference/definitions").iterdir())
    assert len(definitions) > 10
    for definition in definitions:
        assert json.loads(definition.read_bytes())["url"] in page


@pytest.mark.parametrize("package", ["inference", "actions"])
def test_the_python_reference_has_every_public_class_and_function(site: Path, package: str) -> None:
    page = text_of(site, f"reference/python/{package}")
    for module in modules(package):
        assert module in page
        path = ROOT.joinpath(*module.split("."))
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for part in ast.parse(source.read_text()).body:
            if isinstance(part, ast.ClassDef | ast.FunctionDef) and not part.name.startswith("_"):
                assert part.name in page, f"{module}.{part.name}"


def test_the_search_knows_pages_that_are_written_and_pages_that_are_made(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    text = " ".join(entry["text"] for entry in index["docs"])
    for words in ("promotion gate", "over-read", "ecg-interop audit verify", "/predict", "kappa"):
        assert words in text


def test_a_link_out_of_docs_leads_to_the_copy_on_the_site_and_one_to_a_folder_is_text() -> None:
    source = DOCS / "governance.md"
    assert uri_of(ROOT / "README.md") == "project/README.md"
    assert relinked("[a](../README.md#start)", source, "governance.md") == "[a](project/README.md#start)"
    assert relinked("[d](decisions)", source, "governance.md") == "[d](decisions/index.md)"
    assert relinked("[d](../deploy) [w](https://x.org/y)", source, "governance.md") == "d [w](https://x.org/y)"
    assert relinked("[f](../fhir.md)", DOCS / "tutorials/clinician.md", "tutorials/clinician.md") == "[f](../fhir.md)"


def test_a_mermaid_graph_becomes_a_table_and_a_bar_stays_in_its_cell() -> None:
    graph = "```mermaid\ngraph LR\n  subgraph g\n    a\n    b\n  end\n  a --> b\n```\n"
    assert (
        without_diagrams(graph)
        == table(("group", "asset", "made from"), [("g", "`a`", ""), ("g", "`b`", "`a`")]) + "\n"
    )
    assert table(("x",), [("a|b\nc",)]).endswith("| a\\|b c |")


def test_in_a_browser_the_home_page_stands_and_search_finds_the_promotion_gate(browser: Tab, address: str) -> None:
    browser.screen(1280, 900)
    browser.open(address)
    assert browser.value("document.querySelector('h1').innerText").startswith("ECG Clinical Action Recommender")
    browser.value("document.querySelector('[data-md-toggle=search]').click()")
    browser.value(
        "const q = document.querySelector('[data-md-component=search-query]'); q.focus(); q.value = 'promotion gate';"
        "q.dispatchEvent(new Event('focus')); q.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}))"
    )
    results = "[...document.querySelectorAll('.md-search-result__item')].map(e => e.innerText).join('\\n')"
    assert eventually(lambda: {"promot", "gate"} <= set(re.findall("promot|gate", browser.value(results).lower())))
    asked = [urlsplit(sent["request"]["url"]) for sent in browser.told("Network.requestWillBeSent")]
    assert {url.scheme for url in asked} <= {"http", "data", "blob"}
    assert {url.netloc for url in asked if url.scheme == "http"} == {urlsplit(address).netloc}
