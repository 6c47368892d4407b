"""`monitor`: what live results say of the model. Computed from the store, stored, and told."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from interop.commands.console import FAILED, out, print_json, print_table
from interop.commands.drift import drift_tables, load_reference, reference, require_monitoring, trial
from interop.settings import Settings

if TYPE_CHECKING:  # SciPy is imported by the command, not by the console
    from training.monitoring.run import Monitor, Report

NOTHING = "-"
WINDOW = 30.0  # days; `training.monitoring.run.DAYS`

Days = Annotated[float, typer.Option(min=0.01, max=3660, help="how far to look back")]
Json = Annotated[bool, typer.Option("--json", help="for a program to read")]
FailOnFlag = Annotated[bool, typer.Option("--fail-on-flag", help="exit code 1 where somebody has to look")]

Row = tuple[str, ...]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(no_args_is_help=True, help="What live results say of the model.")
    commands: dict[str, Callable[..., None]] = {
        "drift": drift,
        "bias": bias,
        "performance": performance,
        "shadow": shadow,
        "reference": reference,
        "trial": trial,
    }
    for name, function in commands.items():
        group.command(name)(function)
    app.add_typer(group, name="monitor")


def drift(days: Days = WINDOW, as_json: Json = False, fail_on_flag: FailOnFlag = False) -> None:
    """Compare the newest ECGs and results with the reference of the model; store the report and its page."""
    require_monitoring()
    from training.monitoring.drift import DriftMonitor

    found = monitor("drift", days, {"drift": DriftMonitor(load_reference(Settings()))})
    tell(found, drift_tables, as_json=as_json, fail_on_flag=fail_on_flag)


def bias(days: Days = WINDOW, as_json: Json = False, fail_on_flag: FailOnFlag = False) -> None:
    """Compare urgent rates, and by over-reads errors and AUC, of women and men, young and old; store the report."""
    tell(monitor("bias", days), bias_tables, as_json=as_json, fail_on_flag=fail_on_flag)


def performance(days: Days = WINDOW, as_json: Json = False, fail_on_flag: FailOnFlag = False) -> None:
    """Hold results against over-reads, count errors and time analyses; store the report."""
    tell(monitor("performance", days), performance_tables, as_json=as_json, fail_on_flag=fail_on_flag)


def shadow(days: Days = WINDOW, as_json: Json = False, fail_on_flag: FailOnFlag = False) -> None:
    """Hold the model that runs in shadow mode against the one that serves, on the same ECGs; store the report."""
    tell(monitor("shadow", days), shadow_tables, as_json=as_json, fail_on_flag=fail_on_flag)


def monitor(kind: str, days: float, monitors: "Mapping[str, Monitor] | None" = None) -> "Report":
    """Make and store one report, beside a running service, and tell of what it has found. monitors: where the kind is
    none of `training.monitoring.run.MONITORS`. Raises ConfigurationError, StorageUnavailable."""
    from audit.monitoring_store import MonitoringStore
    from interop.bootstrap import now
    from interop.commands.alerts import outgoing
    from training.monitoring.run import MONITORS, run

    with outgoing(Settings()) as sending:
        store = MonitoringStore(sending.store, sending.tell)
        return run(kind, store, now=now(), days=days, monitors=monitors or MONITORS)


def tell(
    report: "Report",
    tables: Callable[[Mapping[str, Any]], Iterator[Table]],
    *,
    as_json: bool,
    fail_on_flag: bool,
) -> None:
    """Print a report and end with its exit code."""
    if as_json:
        print_json({**report.content, "stale": False})
    else:
        window = report.content["window"]
        out.print(f"{report.kind}, {window['begin'][:16]} to {window['end'][:16]} UTC", markup=False)
        for table in tables(report.content):
            print_table(table)
        for finding in report.findings:
            out.print(f"{_verdict(finding.flag)}: {finding.title}. {finding.text}", markup=False)
    if report.flag and fail_on_flag:
        raise typer.Exit(FAILED)


def bias_tables(content: Mapping[str, Any]) -> Iterator[Table]:
    """Urgent rates by group, and how far right and wrong decisions of the groups lie apart."""
    rates = _table("", "analyses", "urgent", "urgent, %", "")
    for attribute, found in content["groups"].items():
        for name, group in (*found["groups"].items(), (f"{attribute} unknown", found["unknown"])):
            rates.add_row(name, str(group["n"]), str(group["urgent"]), _per_100(group), group.get("judgement", ""))
    yield rates
    gaps = _table("by over-reads", "", "TPR apart", "FPR apart", "AUC apart")
    for attribute in content["groups"]:
        for superclass, found in content["equalized_odds"][attribute].items():
            area = content["performance_parity"][attribute][superclass]["difference"]
            figures = (_figure(found["tpr_difference"]), _figure(found["fpr_difference"]), _figure(area))
            gaps.add_row(superclass, attribute, *figures)
    yield gaps


def performance_tables(content: Mapping[str, Any]) -> Iterator[Table]:
    """By class, by door and by time."""
    classes = _table("class", "over-read", "found", "AUC", "sensitivity, %", "specificity, %", "calibration error")
    for name, found in content["classes"].items():
        error = _interval((found["calibration"] or {}).get("error"))
        figures = (_interval(found["auc"]), _per_100(found["sensitivity"]), _per_100(found["specificity"]), error)
        classes.add_row(name, str(found["n"]), str(found["positives"]), *figures)
    yield classes
    doors = _table("door", "received", "failed, %", "analyses", "not interpretable, %")
    for name, found in content["errors"].items():
        unreadable = found["not_interpretable"]
        counts = (str(found["received"]), _per_100(found["error"]), str(unreadable["n"]), _per_100(unreadable))
        doors.add_row(name, *counts)
    yield doors
    trend = _table(f"{content['trend']['step']} of", "analyses", "urgent, %", "over-read", "agreed, %", "macro-AUC")
    for row in content["trend"]["rows"]:
        made = (str(row["analyses"]), _per_100(row["urgent"]), str(row["overreads"]))
        trend.add_row(row["begin"], *made, _per_100(row["agreement"]), _interval(row["macro_auc"]))
    yield trend


def shadow_tables(content: Mapping[str, Any]) -> Iterator[Table]:
    """Both models side by side: what they decide, and how right they are where that is known."""
    model = content["shadow"]
    if model is None:
        return
    both = _table("", "as served", f"{model['name']} {model['version']}", "apart")
    urgent, latency, area = content["urgent"], content["latency"], content["overreads"]["macro_auc"] or {}
    rates = (_per_100(urgent["served"]), _per_100(urgent["shadow"]), _interval(urgent["difference"]))
    both.add_row("urgent, %", *rates)
    both.add_row("macro-AUC by over-reads", *(_interval(area.get(who)) for who in ("served", "shadow", "difference")))
    times = (latency[who]["p99_seconds"] for who in ("served", "shadow"))
    both.add_row("forward pass, p99, s", *(_figure(seconds) for seconds in times), "")
    yield both
    decided = _table("decided", "as served, %", "in shadow mode, %", "alike, %", "kappa", "probabilities apart, p99")
    for name, found in content["classes"].items():
        each = (_per_100(found["decided"][who]) for who in ("served", "shadow"))
        figures = (_figure(found["kappa"]), _figure(found["probability_apart"]["p99"]))
        decided.add_row(name, *each, _per_100(found["agreement"]), *figures)
    yield decided
    right = _table("by over-reads", "", "AUC apart", "right only as served", "only in shadow mode", "p")
    for name, found in content["classes"].items():
        read = found["overreads"]
        counts = (str(read["right"]["served_only"]), str(read["right"]["shadow_only"]))
        p_value = _figure(read["right"]["p_value"])
        right.add_row(name, str(read["n"]), _interval((read["auc"] or {}).get("difference")), *counts, p_value)
    yield right


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, padding=(0, 2, 0, 0))


def _verdict(flag: bool | None) -> str:
    return "cannot be told" if flag is None else "FLAGGED" if flag else "ok"


def _per_100(share: Mapping[str, Any]) -> str:
    if share["rate"] is None:
        return NOTHING
    return f"{share['rate']:.1%} ({share['low']:.1%} to {share['high']:.1%})".replace("%", "")


def _interval(found: Mapping[str, float] | None) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})" if found else NOTHING


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
