"""The reports, read back by an independent reader of HTML."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from tests.training.validation.test_report import BROKEN, GROUP, REPORT, WARNED
from training.validation.rendering import to_markdown, to_page, write_report
from training.validation.report import ValidationReport


class Page(HTMLParser):
    """Tags, attributes and the texts of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.feed(text)
        self.cells = [cell.strip() for cell in self.cells]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_the_verdict_comes_first_and_every_expectation_is_there() -> None:
    text = to_markdown(REPORT)
    assert text.splitlines()[2] == "**Blocked: 3 expectations, 1 blocking, 1 warnings.**"
    assert text.index("## What stops it") < text.index(BROKEN.reason) < text.index("## Expectations")
    for finding in REPORT.findings:
        assert f"| {finding.suite} | {finding.name} |" in text


def test_a_data_set_that_passes_says_so() -> None:
    text = to_markdown(replace(REPORT, findings=(WARNED,)))
    assert "**Passed: 1 expectations, 0 blocking, 1 warnings.**" in text
    assert "What stops it" not in text


def test_a_sample_is_called_one() -> None:
    assert "Leaks of samples are looked for among those only" in to_markdown(replace(REPORT, looked_at=59))
    assert "among those only" not in to_markdown(REPORT)


def test_rates_come_with_interval_and_number_or_as_too_few() -> None:
    cells = Page(to_page(REPORT)).cells
    assert "20.0% (11.8% to 31.8%), 60" in cells
    assert "too few to judge (3)" in cells


def test_a_group_that_differs_from_all_is_marked() -> None:
    rates = {c: replace(r, rate=0.9, low=0.8, high=0.95) for c, r in GROUP.rates.items()}
    text = to_markdown(replace(REPORT, groups=(REPORT.groups[0], replace(GROUP, rates=rates))))
    assert "| *90.0% (80.0% to 95.0%), 60* |" in text
    assert "| 20.0% (11.8% to 31.8%), 60 |" in text


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    page = Page(to_page(REPORT))
    assert not {"script", "img", "link", "iframe", "a"} & set(page.tags)
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "name"}
    assert "default-src 'none'" in to_page(REPORT)


def test_what_stands_in_the_data_is_text_and_nothing_else() -> None:
    hostile = "<script>alert(1)</script> | *x* [a](b) &amp;\nnew"
    report = replace(REPORT, findings=(replace(BROKEN, examples=(hostile,)),), groups=(replace(GROUP, group=hostile),))
    page = Page(to_page(report))
    assert "script" not in page.tags
    assert hostile.replace("\n", " ") in page.cells


def test_all_three_files_are_written(tmp_path: Path) -> None:
    markdown, page, document = write_report(REPORT, tmp_path / "new" / "folder")
    assert markdown.read_text() == to_markdown(REPORT)
    assert re.match("<!DOCTYPE html>", page.read_text())
    assert ValidationReport.from_json(document.read_text()) == REPORT
