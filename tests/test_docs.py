"""What the code has and the documents do not say fails here, and the other way round."""

import re
from pathlib import Path

import pytest

from inference.errors import EcgError
from interop.errors import ANSWERS
from interop.fhir.parameters import INTERACTIONS, Interaction
from interop.metrics import COUNTERS, GAUGES, HISTOGRAMS
from interop.resources.search_parameters import SEARCH_PARAMETERS
from interop.settings import Settings
from orchestration.settings import Settings as PipelineSettings
from tests.named_tests import exists

SETTINGS = {f"ECG_{name.upper()}" for name in (*Settings.model_fields, *PipelineSettings.model_fields)}

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SUPPORT_ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<state>(not )?supported) \| (?P<proof>[^|]+) \|", re.MULTILINE)


def _codes(error: type[EcgError]) -> set[str]:
    return {error.code}.union(*(_codes(child) for child in error.__subclasses__()))


ABSTRACT = {"error", "sender-error", "service-error"}


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    documented = set(re.findall(r"^\| `(ECG_[A-Z0-9_]+)`", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    assert documented == SETTINGS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_setting_that_does_not_exist(document: Path) -> None:
    known = SETTINGS | {"ECG_TEST_DATA", "ECG_TEST_DATABASE_URL"}
    assert set(re.findall(r"\bECG_[A-Z0-9_]+\b", document.read_text())) <= known


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    documented = set(re.findall(r"^\| `(ecg_[a-z_]+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert documented == {*COUNTERS, *GAUGES, *HISTOGRAMS}


def test_every_error_code_has_an_answer_and_is_documented() -> None:
    codes = _codes(EcgError) - ABSTRACT
    assert codes == set(ANSWERS)
    assert codes == set(re.findall(r"^\| `([a-z-]+)`", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_row_of_the_support_table_that_says_supported_names_a_test_that_exists() -> None:
    rows = list(SUPPORT_ROW.finditer((ROOT / "docs/support.md").read_text()))
    assert rows
    for row in rows:
        if row["state"] == "supported":
            assert exists(row["proof"].strip().strip("`")), row["what"]


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)\b", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {"run", "test"} <= named <= targets


def fhir_tables() -> tuple[str, str]:
    """What `docs/fhir.md` has to say: interactions by type, and search parameters by type."""
    columns = [interaction.value for interaction in Interaction]
    head = f"| type | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}\n"
    rows = [
        f"| {kind} | {' | '.join('x' if one in found else '' for one in Interaction)} |"
        for kind, found in INTERACTIONS.items()
    ]
    named = [
        f"| {kind} | {', '.join(f'`{name}`' for name in SEARCH_PARAMETERS[kind])} |"
        for kind, found in INTERACTIONS.items()
        if Interaction.SEARCH in found
    ]
    return head + "\n".join(rows), "| type | parameters |\n|---|---|\n" + "\n".join(named)


def test_the_interactions_and_search_parameters_of_every_type_are_documented() -> None:
    document = (ROOT / "docs/fhir.md").read_text()
    for table in fhir_tables():
        assert table in document
