"""What the layout of the project promises and no linter checks: one place for the environment, small files, a test
beside every module. The directions of imports are import-linter's (`make check`)."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
ROOMS = ("inference", "actions", "audit", "interop", "training", "orchestration")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "__pycache__" not in path.parts)
MIGRATIONS = ROOT / "audit" / "migrations"
TEST_FILES = sorted(TESTS.rglob("*.py"))
TEST_MODULES = [path for path in TEST_FILES if path.name.startswith("test_")]

MAX_LINES = 500
# A module shorter than this may be tested through the one that uses it.
SMALL = 40

# Folders of tests that look at the whole from outside.
WHOLE = ("e2e", "bench")
# Test modules that are about no single module: what they are about instead.
ABOUT_MORE = {
    "test_architecture.py": "this one",
    "test_docs.py": "docs/ against the code",
    "test_risk.py": "docs/risk.json against tests and code",
    "test_bench.py": "tests/bench, which `make bench` runs",
    "deploy/test_continuity.py": "docs/continuity.md and docs/runbooks.md against the command line and deploy",
    "deploy/test_recovery.py": "deploy/backup, and `db backup` and `db restore` of a database that is served",
    "test_drill.py": "tests/drill, which `make drill` runs",
    "deploy/test_kubernetes.py": "deploy/k8s against the schemas, itself and the code",
    "deploy/test_kubernetes_network.py": "deploy/k8s: who may talk to whom; the secrets of an evaluation",
    "deploy/test_kubernetes_live.py": "deploy/k8s: what it asks of real programs",
    "deploy/test_site.py": "mkdocs.yml, docs/ and scripts/docs_*.py: the site that is built of them",
    "deploy/test_prometheus.py": "deploy/prometheus and deploy/grafana against the code and the running service",
    "deploy/test_image.py": "deploy/Dockerfile, built, looked into and run",
    "deploy/test_dockerfile.py": "deploy/Dockerfile and deploy/image against the code, without building",
    "deploy/test_compose.py": "deploy/compose.yaml and deploy/compose against the code, by Docker Compose",
    "deploy/test_workflows.py": ".github by tools of others and against the project",
    "deploy/test_workflow_scripts.py": "the scripts inside .github/workflows, and deploy/k8s/smoke.sh",
    "deploy/test_release.py": "scripts/dist.py and release_notes.py, .gitattributes, the version wherever it stands",
    "deploy/test_bench_trend.py": "scripts/bench_trend.py",
    "audit/test_postgresql.py": "the server that tests of the store run on",
    "audit/test_plans.py": "audit/search.py and audit/conditions.py: which indexes a search uses",
    "interop/fhir/test_searching.py": "interop/fhir/search.py and values.py, through the door",
    "audit/test_contention.py": "two processes on one database",
    "audit/test_monitoring.py": "audit/reports.py, alerts.py and observed.py",
    "inference/formats/test_read.py": "inference/formats/__init__.py",
}
# Modules without a test module of their own: the test that covers each.
COVERED_BY = {
    "inference/errors.py": "interop/test_errors.py",
    "inference/prediction.py": "inference/test_classifier.py",
    "interop/commands/released.py": "interop/commands/test_models.py",
    "actions/analysis.py": "actions/test_analyze.py",
    "actions/ports.py": "actions/test_analyze.py",
    "audit/backup.py": "interop/commands/test_copies.py",
    "audit/card_records.py": "audit/test_cards.py",
    "audit/criteria.py": "audit/test_conditions.py",
    "audit/driver.py": "audit/test_insert.py",
    "audit/insert.py": "audit/test_documents.py",
    "audit/packed.py": "audit/test_store.py",
    "audit/monitoring_records.py": "audit/test_monitoring.py",
    "audit/reports.py": "audit/test_monitoring.py",
    "audit/alerts.py": "audit/test_monitoring.py",
    "audit/observed.py": "audit/test_monitoring.py",
    "audit/records.py": "audit/test_store.py",
    "audit/schema.py": "audit/test_upgrade.py",
    "audit/unit_of_work.py": "audit/test_store.py",
    "interop/bootstrap.py": "e2e/test_process.py",
    "interop/notifying.py": "e2e/test_alerts.py",
    "interop/cds_hooks/answering.py": "interop/cds_hooks/test_routes.py",
    "interop/cds_hooks/known.py": "interop/cds_hooks/test_routes.py",
    "interop/cds_hooks/services.py": "interop/cds_hooks/test_routes.py",
    "interop/client.py": "e2e/test_three_doors.py",
    "interop/monitoring/history.py": "interop/monitoring/test_page.py",
    "interop/monitoring/shown.py": "interop/monitoring/test_routes.py",
    "interop/commands/serving.py": "e2e/test_process.py",
    "interop/demo.py": "e2e/test_process.py",
    "interop/fhir/analyzing.py": "interop/fhir/test_operations.py",
    "interop/fhir/attached.py": "interop/fhir/test_ecg_documents.py",
    "interop/fhir/derived.py": "interop/fhir/test_ecg_documents.py",
    "interop/fhir/storing_documents.py": "interop/fhir/test_ecg_documents.py",
    "interop/fhir/answers.py": "interop/fhir/test_preparing.py",
    "interop/fhir/change.py": "interop/fhir/test_transaction.py",
    "interop/fhir/changing.py": "interop/fhir/test_storing.py",
    "interop/fhir/definitions.py": "interop/fhir/test_operations.py",
    "interop/fhir/entries.py": "interop/fhir/test_transaction.py",
    "interop/fhir/everything.py": "interop/fhir/test_operations.py",
    "interop/fhir/interactions.py": "interop/fhir/test_storing.py",
    "interop/fhir/messages.py": "interop/fhir/test_operations.py",
    "interop/fhir/parameters.py": "interop/fhir/test_search.py",
    "interop/fhir/references.py": "interop/fhir/test_transaction.py",
    "interop/fhir/submission.py": "interop/fhir/test_preparing.py",
    "interop/hl7/facets.py": "interop/hl7/test_oru.py",
    "interop/hl7/identifiers.py": "interop/hl7/test_oru.py",
    "interop/hl7/leads.py": "interop/hl7/test_oru.py",
    "interop/mllp/item.py": "interop/mllp/test_handler.py",
    "interop/mllp/marks.py": "interop/mllp/test_server.py",
    "interop/overreading.py": "interop/fhir/test_storing.py",
    "interop/passage.py": "interop/fhir/test_preparing.py",
    "interop/predict/openapi.py": "interop/predict/test_routes.py",
    "interop/resources/codes.py": "interop/resources/test_report.py",
    "interop/resources/devices.py": "interop/resources/test_report.py",
    "interop/resources/documents.py": "interop/resources/test_report.py",
    "interop/resources/findings.py": "interop/resources/test_report.py",
    "interop/resources/overread.py": "interop/fhir/test_storing.py",
    "interop/resources/provenance.py": "interop/resources/test_report.py",
    "interop/resources/received.py": "interop/fhir/test_storing.py",
    "interop/resources/origin.py": "interop/resources/test_report.py",
    "interop/resources/report_words.py": "interop/resources/test_pdf.py",
    "interop/report_view.py": "interop/fhir/test_pdf_operation.py",
    "interop/pages/rendering.py": "interop/pages/test_routes.py",
    "interop/resources/subjects.py": "interop/resources/test_observation.py",
    "interop/resources/requests.py": "interop/resources/test_report.py",
    "interop/serving.py": "e2e/test_process.py",
    "interop/together.py": "interop/test_lanes.py",
    "training/branches.py": "training/test_cross_validate.py",
    "training/datasets/archives.py": "training/datasets/test_download.py",
    "training/datasets/indexed.py": "training/datasets/test_catalog.py",
    "orchestration/metadata.py": "orchestration/test_definitions.py",
    "orchestration/settings.py": "orchestration/test_ops.py",
    "orchestration/assets/datasets.py": "orchestration/test_definitions.py",
    "orchestration/assets/features.py": "orchestration/test_definitions.py",
    "orchestration/assets/monitoring.py": "orchestration/test_definitions.py",
    "orchestration/assets/promotion.py": "orchestration/test_definitions.py",
    "orchestration/assets/training.py": "orchestration/test_definitions.py",
    "training/datasets/parallel.py": "training/datasets/test_preparing.py",
    "training/datasets/window.py": "training/datasets/test_prepared.py",
    "training/fairness_report.py": "training/test_fairness.py",
    "training/feature_files.py": "training/test_feature_store.py",
    "training/out_of_fold.py": "training/test_cross_validate.py",
    "training/rates.py": "training/test_fairness.py",
    "training/readme.py": "training/test_card.py",
    "training/card_facts.py": "training/test_source_attributes.py",
    "training/card_texts.py": "training/test_card.py",
}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _uses(tree: ast.Module) -> set[str]:
    """Every dotted name in the code, and every name imported from a module as `module.name`."""
    names = {_dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    imported = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    return names | imported


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_the_settings_read_the_environment(path: Path) -> None:
    if _name(path) == "interop/demo.py":
        return  # it hands its own to the service that it starts
    if _name(path) == "orchestration/ops.py":
        return  # the same, for the two servers
    if _name(path) == "training/tracking.py":
        return  # it sets what keeps MLflow from reporting to its makers, which no call does
    if _name(path) == "training/distributed.py":
        return  # it is told by torchrun which of the processes it is, which is no setting of ours
    reading = _uses(_tree(path)) & {"os.environ", "os.environb", "os.getenv", "os.putenv", "dotenv.load_dotenv"}
    assert not reading or _name(path) == "interop/settings.py"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_commands_speak_to_a_person(path: Path) -> None:
    """`print` nowhere, standard output where a command runs."""
    used = _uses(_tree(path))
    assert "print" not in used
    assert "sys.stdout" not in used or path.parent.name == "commands" or _name(path) == "interop/demo.py"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=_name)
def test_every_package_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(_tree(path))


@pytest.mark.parametrize("room", ROOMS)
def test_every_folder_with_modules_is_a_package(room: str) -> None:
    folders = {path.parent for path in MODULES if _name(path).startswith(f"{room}/")}
    assert [_name(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_package_is_in_the_wheel() -> None:
    """The flat layout has no automatic discovery: a package that is not listed works here and is missing there."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(
        _name(path.parent).replace("/", ".") for path in MODULES if path.name == "__init__.py"
    )


@pytest.mark.parametrize("path", [*MODULES, *TEST_FILES], ids=_name)
def test_no_module_is_longer_than_one_can_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_modules_are_small_on_the_whole() -> None:
    lengths = sorted(len(path.read_text().splitlines()) for path in MODULES)
    assert lengths[len(lengths) // 2] < 200


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_nothing_is_called_after_what_it_is_not(path: Path) -> None:
    """A module called `utils` has no subject, and takes anything."""
    assert not set(re.split(r"[/_.]", _name(path))) & {
        "util",
        "utils",
        "helper",
        "helpers",
        "manager",
        "common",
        "misc",
    }


@pytest.mark.parametrize("path", TEST_MODULES, ids=_name)
def test_every_test_module_mirrors_a_module(path: Path) -> None:
    place = path.relative_to(TESTS)
    if place.parts[0] in WHOLE or place.as_posix() in ABOUT_MORE:
        return
    assert (ROOT / place.parent / path.name.removeprefix("test_")).exists()


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "__init__.py"], ids=_name)
def test_every_module_has_a_test(path: Path) -> None:
    if MIGRATIONS in path.parents or len(path.read_text().splitlines()) <= SMALL:
        return
    own = f"{_name(path.parent)}/test_{path.name}"
    assert any((TESTS / test).exists() for test in (own, COVERED_BY.get(_name(path), own)))


def test_the_tables_above_name_nothing_that_is_gone() -> None:
    assert [name for name in ABOUT_MORE if not (TESTS / name).exists()] == []
    assert [name for name in COVERED_BY if not (ROOT / name).exists()] == []
