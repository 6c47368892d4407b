"""Write the Grafana dashboards in deploy/grafana/dashboards.

    python scripts/dashboards.py [TARGET]

TARGET is the folder that they are written to; left out, in place. A panel is a line below: its title, its unit and its
queries with what to call each. The same lines always give the same files (tests/deploy/test_prometheus.py). Queries use
what deploy/prometheus/recording.yml has calculated where it has.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).resolve().parents[1] / "deploy" / "grafana" / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # of Grafana's grid
HEIGHT = 8
# In the queries below: which series are asked for. $job and $door are what the user has chosen.
CHOSEN = {"DOOR": 'job="$job", door=~"$door"', "JOB": 'job="$job"'}
GREEN, YELLOW, RED = "green", "orange", "red"

Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """queries: legend -> PromQL. steps: (from this value on, colour)."""

    title: str
    unit: str
    queries: dict[str, str]
    description: str = ""
    steps: tuple[tuple[float, str], ...] = ()
    kind: str = "timeseries"
    width: int = 8


@dataclass(frozen=True)
class Dashboard:
    """rows: title -> panels."""

    uid: str
    title: str
    rows: dict[str, tuple[Panel, ...]]


def stat(title: str, unit: str, queries: dict[str, str], *steps: tuple[float, str], description: str = "") -> Panel:
    """A number as it is now."""
    return Panel(title, unit, queries, description, steps, "stat", 4)


OPERATIONS = Dashboard(
    "ecg-operations",
    "ECG: operation",
    {
        "Now": (
            stat("Processes up", "short", {"up": "sum(up{JOB})"}, (0, RED), (1, GREEN)),
            stat(
                "Readiness",
                "short",
                {"{{check}}": "min by (check) (ecg_ready_check{JOB})"},
                (0, RED),
                (1, GREEN),
                description="1 while a check passes, as of the last GET /ready",
            ),
            stat(
                "Error budget burn, 1 h",
                "short",
                {"{{door}}": "door:ecg_error_budget_burn:rate1h{DOOR}"},
                (0, GREEN),
                (1, YELLOW),
                (14.4, RED),
                description="1: used up in exactly the 30 days that it is for",
            ),
            stat(
                "Waiting for the model",
                "short",
                {"{{instance}}": "ecg_lane_waiting{JOB}"},
                (0, GREEN),
                (16, YELLOW),
                (48, RED),
                description="At ECG_QUEUE_LIMIT (64) ECGs are refused",
            ),
            stat(
                "Results that are dead",
                "short",
                {"dead": 'max(ecg_outbox_messages{JOB, state="dead"})'},
                (0, GREEN),
                (1, RED),
            ),
            stat("Up since", "s", {"{{instance}}": "ecg_uptime_seconds{JOB}"}),
        ),
        "Errors": (
            Panel(
                "Share of items that failed",
                "percentunit",
                {"{{door}}": "door:ecg_error_ratio:rate5m{DOOR}"},
                "By the service's fault; the objective is 0.1 %",
                ((0, GREEN), (0.001, RED)),
            ),
            Panel(
                "Error budget burn",
                "short",
                {
                    "{{door}} 5 min": "door:ecg_error_budget_burn:rate5m{DOOR}",
                    "{{door}} 1 h": "door:ecg_error_budget_burn:rate1h{DOOR}",
                    "{{door}} 6 h": "door:ecg_error_budget_burn:rate6h{DOOR}",
                    "{{door}} 3 d": "door:ecg_error_budget_burn:rate3d{DOOR}",
                },
                "Critical at 14.4 (1 h) and 6 (6 h), warning at 1 (3 d)",
                ((0, GREEN), (1, YELLOW), (14.4, RED)),
            ),
            Panel("Refused, by code", "reqps", {"{{code}}": "sum by (code) (rate(ecg_refused_total{DOOR}[5m])) > 0"}),
        ),
        "Speed": (
            Panel(
                "Answer, p99",
                "s",
                {"{{door}}": "door:ecg_answer_seconds:p99_5m{DOOR}"},
                "Budgets: predict 15 ms, fhir and mllp 60 ms, cds-hooks 150 ms",
                ((0, GREEN), (0.06, YELLOW), (1, RED)),
            ),
            Panel(
                "Answer, p50 and p90",
                "s",
                {
                    "{{door}} p50": "door:ecg_answer_seconds:p50_5m{DOOR}",
                    "{{door}} p90": "door:ecg_answer_seconds:p90_5m{DOOR}",
                },
            ),
            Panel(
                "Stages of the analysis, p99",
                "s",
                {
                    "{{stage}}": "stage:ecg_stage_seconds:p99_5m{JOB}",
                    "all": "job:ecg_analysis_seconds:p99_5m{JOB}",
                },
            ),
            Panel("A transaction until it is durable, p99", "s", {"write": "job:ecg_write_seconds:p99_5m{JOB}"}),
            Panel(
                "Waiting for the model", "short", {"{{instance}}": "ecg_lane_waiting{JOB}"}, "", ((0, GREEN), (48, RED))
            ),
            Panel("Feature cache", "ops", {"{{outcome}}": "sum by (outcome) (rate(ecg_feature_cache_total{JOB}[5m]))"}),
        ),
        "Traffic": (
            Panel("Received", "reqps", {"{{door}}": "door:ecg_received:rate5m{DOOR}"}),
            Panel("HTTP requests", "reqps", {"{{status}}": "sum by (status) (rate(ecg_http_requests_total{JOB}[5m]))"}),
            Panel(
                "HTTP requests, p99 by route",
                "s",
                {
                    "{{method}} {{route}}": (
                        "histogram_quantile(0.99, sum by (method, route, le) "
                        "(rate(ecg_http_request_seconds_bucket{JOB}[5m])))"
                    ),
                },
            ),
        ),
        "Process": (
            Panel(
                "CPU", "percentunit", {"{{instance}}": "rate(ecg_process_cpu_seconds_total{JOB}[5m])"}, "1: one core"
            ),
            Panel(
                "Memory",
                "bytes",
                {"{{instance}}": "ecg_process_resident_memory_bytes{JOB}"},
                "Budget: 350 MB",
                ((0, GREEN), (350e6, YELLOW)),
            ),
            Panel(
                "File descriptors",
                "percentunit",
                {
                    "{{instance}}": "ecg_process_open_fds{JOB} / ecg_process_max_fds{JOB}",
                },
                "",
                ((0, GREEN), (0.8, RED)),
            ),
        ),
    },
)

MODEL = Dashboard(
    "ecg-model",
    "ECG: model",
    {
        "What serves": (
            Panel(
                "Model",
                "short",
                {"{{name}} {{version}} ({{status}})": "count by (name, version, status) (ecg_model_info{JOB})"},
                "How many processes serve it",
                kind="stat",
            ),
            Panel(
                "Activations",
                "short",
                {"{{outcome}}": "sum by (outcome) (increase(ecg_model_changes_total{JOB}[1d]))"},
                kind="stat",
            ),
            Panel("ECGs analysed in a day", "short", {"a day": "job:ecg_analyses:increase1d{JOB}"}, kind="stat"),
        ),
        "What comes in": (
            Panel(
                "Shares of a day",
                "percentunit",
                {"{{share}}": "share:ecg_analyses:ratio1d{JOB}"},
                "Of the classified: inconclusive, immediate or urgent. Of all: not to be interpreted",
            ),
            Panel("The same over seven days", "percentunit", {"{{share}}": "share:ecg_analyses:ratio7d{JOB}"}),
            Panel(
                "Findings on quality in a day",
                "short",
                {"{{code}} {{severity}}": "sum by (code, severity) (increase(ecg_quality_findings_total{JOB}[1d]))"},
            ),
            Panel(
                "Patients in a day",
                "short",
                {"{{sex}} {{age_group}}": "sum by (sex, age_group) (increase(ecg_analyses_group_total{JOB}[1d]))"},
            ),
            Panel(
                "Outside intended use, old recordings, in a day",
                "short",
                {
                    "outside intended use": "sum(increase(ecg_outside_intended_use_total{JOB}[1d]))",
                    "older than the acute window": "sum(increase(ecg_archived_total{JOB}[1d]))",
                },
            ),
            Panel(
                "Length of the recordings, median of a day",
                "s",
                {
                    "p50": "histogram_quantile(0.5, sum by (le) (rate(ecg_recording_seconds_bucket{JOB}[1d])))",
                },
            ),
        ),
        "Monitoring": (
            Panel(
                "Flagged by the newest report",
                "bool_yes_no",
                {"{{kind}}": "max by (kind) (ecg_monitoring_flag{JOB})"},
                "What and since when: /monitoring of the service",
                ((0, GREEN), (1, YELLOW)),
                kind="stat",
            ),
            Panel(
                "Age of the newest report",
                "s",
                {"{{kind}}": "max by (kind) (ecg_monitoring_report_age_seconds{JOB})"},
                "Stale from 2 h (drift), 48 h (bias, performance, shadow)",
                kind="stat",
            ),
            Panel(
                "Flagged over time",
                "short",
                {"{{kind}}": "max by (kind) (ecg_monitoring_flag{JOB})"},
                "1 while the newest report of a kind is flagged",
            ),
        ),
        "What it says": (
            Panel(
                "Superclasses decided, share of a day",
                "percentunit",
                {"{{superclass}}": "superclass:ecg_diagnoses:ratio1d{JOB}"},
            ),
            Panel(
                "Probability, median of a day",
                "percentunit",
                {
                    "{{superclass}}": (
                        "histogram_quantile(0.5, sum by (superclass, le) (rate(ecg_confidence_bucket{JOB}[1d])))"
                    ),
                },
                "A shift means drift",
            ),
            Panel(
                "Analyses by highest urgency, in a day",
                "short",
                {"{{urgency}}": "sum by (urgency) (increase(ecg_analyses_urgency_total{JOB}[1d]))"},
            ),
            Panel(
                "Recommendations in a day",
                "short",
                {"{{urgency}}": "sum by (urgency) (increase(ecg_recommendations_total{JOB}[1d]))"},
            ),
            Panel(
                "Analyses, live and silent", "reqps", {"{{mode}}": "sum by (mode) (rate(ecg_analyses_total{JOB}[5m]))"}
            ),
            Panel(
                "Classification, p99",
                "s",
                {"{{stage}}": 'stage:ecg_stage_seconds:p99_5m{JOB, stage="classify"}'},
                "Budget of the gate: 5 ms",
            ),
        ),
    },
)

INTERFACES = Dashboard(
    "ecg-interfaces",
    "ECG: interfaces",
    {
        "Doors": (
            Panel("Received", "reqps", {"{{door}}": "door:ecg_received:rate5m{DOOR}"}),
            Panel(
                "Answered with a result", "reqps", {"{{door}}": "sum by (door) (rate(ecg_answered_total{DOOR}[5m]))"}
            ),
            Panel("Seen before", "reqps", {"{{door}}": "sum by (door) (rate(ecg_duplicates_total{DOOR}[5m]))"}),
            Panel(
                "Share refused as the sender's mistake",
                "percentunit",
                {
                    "{{door}}": "door:ecg_refused_by_sender_fault:ratio_rate30m{DOOR}",
                },
                "",
                ((0, GREEN), (0.2, RED)),
            ),
            Panel(
                "Refused, by door and code",
                "reqps",
                {"{{door}} {{code}}": "sum by (door, code) (rate(ecg_refused_total{DOOR}[5m])) > 0"},
            ),
            Panel(
                "Could not be interpreted",
                "reqps",
                {"{{door}}": "sum by (door) (rate(ecg_uninterpretable_total{DOOR}[5m]))"},
            ),
        ),
        "HL7 v2": (
            Panel("Open MLLP connections", "short", {"{{instance}}": "ecg_mllp_connections{JOB}"}),
            Panel(
                "Outbound results",
                "short",
                {"{{state}}": 'max by (state) (ecg_outbox_messages{JOB, state!="sent"})'},
                "held: no destination is set; dead: refused for good",
            ),
            Panel("Deliveries", "ops", {"{{outcome}}": "sum by (outcome) (rate(ecg_deliveries_total{JOB}[5m]))"}),
        ),
        "Accepted for later": (
            Panel(
                "Age of the oldest that waits",
                "s",
                {"oldest": "max(ecg_inbox_oldest_seconds{JOB})"},
                "Bundles with Prefer: respond-async",
                ((0, GREEN), (1200, RED)),
            ),
        ),
        "CDS Hooks": (
            Panel("Hook calls", "reqps", {"{{service}}": "sum by (service) (rate(ecg_cds_calls_total{JOB}[5m]))"}),
            Panel("Cards", "reqps", {"{{indicator}}": "sum by (indicator) (rate(ecg_cds_cards_total{JOB}[5m]))"}),
            Panel(
                "Cards for 100 ECGs, in a day",
                "short",
                {"cards": "job:ecg_cards_per_100_ecgs:ratio1d{JOB}"},
                "What ECGs cost in attention",
            ),
            Panel(
                "Decisions in a week",
                "short",
                {"{{outcome}} {{reason}}": "sum by (outcome, reason) (increase(ecg_cds_decisions_total{JOB}[7d]))"},
            ),
            Panel(
                "Overridden, by rule, in a week",
                "percentunit",
                {"{{rule}}": "rule:ecg_cds_overridden:ratio7d{JOB}"},
                "A rule that is always overridden is noise",
                ((0, GREEN), (0.9, YELLOW)),
            ),
        ),
    },
)


def main(target: Path = DASHBOARDS) -> None:
    """Write every dashboard."""
    for dashboard in (OPERATIONS, MODEL, INTERFACES):
        text = json.dumps(rendered(dashboard), indent=2, ensure_ascii=False)
        (target / f"{dashboard.uid.removeprefix('ecg-')}.json").write_text(text + "\n", encoding="utf-8")


def rendered(dashboard: Dashboard) -> Json:
    """As Grafana reads it."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["ecg"],
        "schemaVersion": 38,
        "version": 1,
        "editable": False,
        "timezone": "",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [{"type": "dashboards", "title": "ECG", "tags": ["ecg"], "asDropdown": False, "keepTime": True}],
        "annotations": {"list": []},
        "templating": {"list": _variables()},
        "panels": _panels(dashboard),
    }


def _variables() -> list[Json]:
    def query(name: str, label: str, values: str, **more: object) -> Json:
        asked = {"query": values, "refId": name}
        found: Json = {"type": "query", "name": name, "label": label, "datasource": DATASOURCE, "query": asked}
        return found | {"refresh": 2} | more

    return [
        {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"},
        query("job", "Job", "label_values(ecg_uptime_seconds, job)"),
        query(
            "door",
            "Door",
            "label_values(ecg_received_total, door)",
            multi=True,
            includeAll=True,
            allValue=".*",
            current={"text": "All", "value": "$__all"},
        ),
    ]


def _panels(dashboard: Dashboard) -> list[Json]:
    found: list[Json] = []
    top = 0
    for title, panels in dashboard.rows.items():
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        row = {"id": len(found) + 1, "type": "row", "title": title, "gridPos": place}
        found.append(row | {"collapsed": False, "panels": []})
        top, left = top + 1, 0
        for panel in panels:
            if left + panel.width > WIDTH:
                top, left = top + HEIGHT, 0
            place = {"x": left, "y": top, "w": panel.width, "h": HEIGHT}
            found.append({"id": len(found) + 1, "gridPos": place} | _panel(panel))
            left += panel.width
        top += HEIGHT
    return found


def _panel(panel: Panel) -> Json:
    steps: list[Json] = [{"value": value or None, "color": colour} for value, colour in panel.steps]
    thresholds = {"mode": "absolute", "steps": steps or [{"value": None, "color": GREEN}]}
    defaults: Json = {"unit": panel.unit, "thresholds": thresholds}
    options: Json = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""}, "textMode": "auto"}
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": {"fillOpacity": 10, "thresholdsStyle": {"mode": "line" if steps else "off"}}}
        legend = {"displayMode": "list", "placement": "bottom"}
        options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": DATASOURCE, "expr": _asked(query), "legendFormat": name}
            for number, (name, query) in enumerate(panel.queries.items())
        ],
    }


def _asked(query: str) -> str:
    """A query with what its short forms stand for."""
    return re.sub(r"\b(DOOR|JOB)\b", lambda found: CHOSEN[found[0]], query)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
