"""`promote`: a released candidate through the gate, into the registry and into service."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from inference.artifact import find_models
from interop.commands.console import FAILED, WRONG_USAGE, err, out, print_json, print_table, require
from interop.commands.released import By, Json, whoami
from interop.settings import Settings

if TYPE_CHECKING:
    from training.promotion import Verdict, Waiver
    from training.tracking import Tracking

NEEDED = ("torch", "onnx", "mlflow")


def promote(
    name: Annotated[str | None, typer.Argument(help="of the release; default: the only candidate")] = None,
    version: Annotated[str | None, typer.Argument()] = None,
    waive: Annotated[list[str], typer.Option(help="a condition to go without: fairness, latency")] = [],  # noqa: B006
    by: By = None,
    reason: Annotated[str, typer.Option(help="why; required with --waive")] = "",
    fairness: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="fairness report as JSON; default: the card's")
    ] = None,
    latency_limit: Annotated[
        float | None, typer.Option(min=0, help="ms that the forward pass may take at the 99th percentile")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold a candidate against the promotion gate. If it passes it becomes the champion: in the registry, under models
    and in the running service. If not, each condition that failed is told, with how far it is off; exit code 1."""
    require_ops()
    from training.promotion import Limits, judge
    from training.registry import Registry
    from training.release import Named, apply_verdict, gather, only_candidate, point_to, read_fairness

    settings = Settings()
    models, at, who = find_models(settings.model), datetime.now(UTC), by or whoami()
    with _wrong_usage():
        waiver = _waiver(waive, by, reason, at)
        report = read_fairness(fairness) if fairness else None
        if (name is None) != (version is None):
            raise ValueError("name a model by name and version")
    release = Named(name, version) if name and version else only_candidate(models)
    evidence = gather(models / release.name / release.version, report)
    limits = Limits() if latency_limit is None else Limits(forward_p99_ms=latency_limit)
    verdict = judge(evidence, waiver, limits)
    if verdict.promoted:
        folder = apply_verdict(models, release, verdict, by=who, reason=reason, at=at)
        Registry(tracking(settings)).register(folder)
        point_to(models, release, by=who, reason=reason, at=at)
    _tell(release.name, release.version, verdict, as_json)
    if not verdict.promoted:
        raise typer.Exit(FAILED)


def tracking(settings: Settings) -> "Tracking":
    """Where MLflow is, by the settings."""
    from training.tracking import Tracking

    return Tracking(uri=settings.mlflow_uri, artifacts=settings.mlflow_artifacts)


def require_ops() -> None:
    """Promotion needs what serving does not have; say what to do instead of failing on an import."""
    require(NEEDED, "the training libraries and MLflow", "train,ops")


def _waiver(names: list[str], by: str | None, reason: str, at: datetime) -> "Waiver | None":
    """Raises ValueError for an unknown name, or when person or reason are not given."""
    from training.promotion import Waivable, Waiver

    if not names:
        return None
    return Waiver(waives=frozenset(map(Waivable, names)), by=by or "", reason=reason, date=at)


def _tell(name: str, version: str, verdict: "Verdict", as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "version": version, **verdict.to_json()})
        return
    table = Table("condition", "value", "needed", "", box=None, padding=(0, 2, 0, 0))
    for finding in verdict.findings:
        value = "not assessed" if finding.value is None else f"{finding.value:.4g}"
        passed = "passes" if finding.passed else ("waived" if finding.waived else "fails")
        table.add_row(finding.condition.value, value, f"{finding.asks} {finding.threshold:g}", passed)
    print_table(table)
    for failure in verdict.failures:
        err.print(failure.text, markup=False)
    says = f", {verdict.says}" if verdict.says else ""
    out.print(f"{name} {version}: " + (f"champion{says}" if verdict.promoted else "remains a candidate"))


@contextmanager
def _wrong_usage() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(WRONG_USAGE) from error
