"""What Prometheus sees. Every name starts with `ecg_`; `docs/metrics.md` explains each, and a test compares the two.

Labels come from closed lists (doors, error codes, superclasses, route templates), never from what a sender wrote: that
keeps the number of series bounded and patient data out.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector

from actions.analysis import Analysis, Door, Urgency
from inference.errors import ServiceError
from inference.labels import Superclass
from inference.prediction import ModelInfo, Prediction

# The time at which each series began is of no use here and doubles their number.
disable_created_metrics()  # type: ignore[no-untyped-call]

# Seconds. Closely spaced where the budgets lie: 6 ms a forward pass, 15 ms a /predict, 60 ms a FHIR or HL7 message.
LATENCY = (0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.045, 0.06, 0.1, 0.2, 0.5, 1.0, 5.0)
PROBABILITY = tuple(tenth / 10 for tenth in range(1, 11))
DURATION = (2.5, 5.0, 7.3, 10.0, 10.5, 15.0, 30.0, 60.0)

# Upper ends of the age groups that fairness reports use; years.
AGE_GROUPS = ((18.0, "0-17"), (40.0, "18-39"), (60.0, "40-59"), (75.0, "60-74"), (float("inf"), "75+"))


class ModelChange(StrEnum):
    """What came of an activation in this process. `failed`: the model before it goes on serving."""

    TAKEN_UP = "taken-up"
    FAILED = "failed"


class ShadowOutcome(StrEnum):
    """What came of an analysis that was offered to the model in shadow mode. `dropped`: there was no room.
    `same-model`: it is of the same release, so there is nothing to compare."""

    COMPARED = "compared"
    DROPPED = "dropped"
    FAILED = "failed"
    SAME_MODEL = "same-model"


class CacheOutcome(StrEnum):
    """Where a lookup in the feature cache ended. `corrupt`: its row is not what was stored. `unavailable`: the table
    failed or did not answer in time. After these two and a miss everything is calculated."""

    HIT_MEMORY = "hit_memory"
    HIT_TABLE = "hit_table"
    MISS = "miss"
    CORRUPT = "corrupt"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its help text, its labels and, for a histogram, its buckets."""

    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = LATENCY


COUNTERS: Mapping[str, Family] = {
    "ecg_received_total": Family("Items received", ("door",)),
    "ecg_answered_total": Family("Items answered with a result", ("door",)),
    "ecg_refused_total": Family("Items refused, by error code", ("door", "code")),
    "ecg_duplicates_total": Family("Items seen before and answered without a second analysis", ("door",)),
    "ecg_analyses_total": Family("Analyses finished", ("door", "mode")),
    "ecg_uninterpretable_total": Family("Analyses whose signal could not be interpreted", ("door",)),
    "ecg_diagnoses_total": Family("Superclasses decided", ("superclass",)),
    "ecg_inconclusive_total": Family("Classified analyses in which no superclass was decided"),
    "ecg_analyses_urgency_total": Family("Analyses by their highest urgency", ("urgency",)),
    "ecg_recommendations_total": Family("Recommendations made", ("urgency",)),
    "ecg_quality_findings_total": Family("Findings on signal quality", ("code", "severity")),
    "ecg_outside_intended_use_total": Family("Analyses outside intended use, which get no recommendations"),
    "ecg_archived_total": Family("Analyses of recordings older than the acute window"),
    "ecg_analyses_group_total": Family("Analyses by sex and age group of the patient", ("sex", "age_group")),
    "ecg_deliveries_total": Family("Attempts to deliver outbound results", ("outcome",)),
    "ecg_model_changes_total": Family("Activations of another model that this process took up or not", ("outcome",)),
    "ecg_feature_cache_total": Family("Lookups in the feature cache", ("outcome",)),
    "ecg_shadow_analyses_total": Family("Analyses offered to the model in shadow mode", ("outcome",)),
    "ecg_cds_calls_total": Family("Hook calls answered with cards or with none", ("service",)),
    "ecg_cds_cards_total": Family("CDS Hooks cards shown", ("service", "indicator")),
    "ecg_cds_decisions_total": Family("Findings on cards that a user decided on", ("rule", "outcome", "reason")),
    "ecg_alert_notices_total": Family("Attempts of this process to tell of an alert", ("channel", "outcome")),
    "ecg_http_requests_total": Family("HTTP requests", ("method", "route", "status")),
}
GAUGES: Mapping[str, Family] = {
    "ecg_model_info": Family("1 for the model that serves", ("name", "version", "status", "sha256")),
    "ecg_shadow_model_info": Family("1 for the model in shadow mode", ("name", "version", "status", "sha256")),
    "ecg_lane_waiting": Family("ECGs queued or running in the inference lane"),
    "ecg_mllp_connections": Family("Open MLLP connections"),
    "ecg_inbox_oldest_seconds": Family("Age of the oldest received item that waits for its analysis"),
    "ecg_outbox_messages": Family("Outbound messages by state", ("state",)),
    "ecg_monitoring_flag": Family("1 where the newest report of a kind says that somebody has to look", ("kind",)),
    "ecg_monitoring_report_age_seconds": Family("How old the newest report of a kind is", ("kind",)),
    "ecg_alert_notices_unsent": Family("Notices of alerts that wait or were given up", ("channel", "state")),
    "ecg_ready_check": Family("1 while a readiness check passes, else 0; as of its last run", ("check",)),
    "ecg_start_time_seconds": Family("When this process started, Unix time"),
    "ecg_uptime_seconds": Family("How long this process has been up"),
}
HISTOGRAMS: Mapping[str, Family] = {
    "ecg_answer_seconds": Family("From the last byte received to the answer", ("door",)),
    "ecg_analysis_seconds": Family("From recording to analysis, all stages"),
    "ecg_stage_seconds": Family("One stage of the analysis", ("stage",)),
    "ecg_shadow_seconds": Family("One forward pass of the model in shadow mode"),
    "ecg_write_seconds": Family("From handing a transaction to the writer until it is durable"),
    "ecg_http_request_seconds": Family("HTTP requests, from first byte in to last byte out", ("method", "route")),
    "ecg_confidence": Family("Probability of each superclass", ("superclass",), PROBABILITY),
    "ecg_recording_seconds": Family("Duration of the recordings", (), DURATION),
}


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._started = time.time()
        self._counters = {name: Counter(name, f.text, f.labels, registry=self.registry) for name, f in COUNTERS.items()}
        self._gauges = {name: Gauge(name, f.text, f.labels, registry=self.registry) for name, f in GAUGES.items()}
        self._histograms = {
            name: Histogram(name, f.text, f.labels, buckets=f.buckets, registry=self.registry)
            for name, f in HISTOGRAMS.items()
        }
        ProcessCollector(namespace="ecg", registry=self.registry)
        self._gauges["ecg_start_time_seconds"].set(self._started)
        self._start_series()

    def received(self, door: str) -> None:
        """An item came in."""
        self._counters["ecg_received_total"].labels(door).inc()

    def refused(self, door: str, code: str) -> None:
        """An item was answered with an error of `inference.errors`."""
        self._counters["ecg_refused_total"].labels(door, code).inc()

    def duplicate(self, door: str) -> None:
        """An item had been seen before."""
        self._counters["ecg_duplicates_total"].labels(door).inc()

    def answered(self, door: str, seconds: float) -> None:
        """An item was answered with a result, so long after it had arrived."""
        self._counters["ecg_answered_total"].labels(door).inc()
        self._histograms["ecg_answer_seconds"].labels(door).observe(seconds)

    def analysed(self, analysis: Analysis) -> None:
        """An analysis was made, interpretable or not. `analysis.timings` is in seconds, by stage."""
        self._counters["ecg_analyses_total"].labels(analysis.door, analysis.mode).inc()
        self._counters["ecg_analyses_group_total"].labels(analysis.sex, age_group(analysis.age)).inc()
        self._histograms["ecg_recording_seconds"].observe(analysis.duration)
        for finding in analysis.quality.findings:
            self._counters["ecg_quality_findings_total"].labels(finding.code, finding.severity).inc()
        for stage, seconds in analysis.timings.items():
            self._histograms["ecg_stage_seconds"].labels(stage).observe(seconds)
        self._histograms["ecg_analysis_seconds"].observe(sum(analysis.timings.values()))
        if analysis.prediction is None:
            self._counters["ecg_uninterpretable_total"].labels(analysis.door).inc()
        else:
            self._predicted(analysis, analysis.prediction)

    def _predicted(self, analysis: Analysis, prediction: Prediction) -> None:
        for superclass, probability in prediction.probabilities.items():
            self._histograms["ecg_confidence"].labels(superclass).observe(probability)
        for superclass in prediction.decided:
            self._counters["ecg_diagnoses_total"].labels(superclass).inc()
        self._counters["ecg_inconclusive_total"].inc(not prediction.decided)
        self._counters["ecg_analyses_urgency_total"].labels(analysis.urgency).inc()
        for recommendation in analysis.recommendations:
            self._counters["ecg_recommendations_total"].labels(recommendation.urgency).inc()
        self._counters["ecg_outside_intended_use_total"].inc(bool(analysis.outside_intended_use))
        self._counters["ecg_archived_total"].inc(analysis.archived)

    def wrote(self, seconds: float) -> None:
        """A transaction became durable."""
        self._histograms["ecg_write_seconds"].observe(seconds)

    def http(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered. route: the template, never the path itself."""
        self._counters["ecg_http_requests_total"].labels(method, route, status).inc()
        self._histograms["ecg_http_request_seconds"].labels(method, route).observe(seconds)

    def mllp_connections(self, delta: int) -> None:
        """Connections opened (+1) or closed (-1)."""
        self._gauges["ecg_mllp_connections"].inc(delta)

    def queued(self, lane: int) -> None:
        """How many ECGs wait for or run in the inference lane."""
        self._gauges["ecg_lane_waiting"].set(lane)

    def oldest_waiting(self, seconds: float) -> None:
        """How long the oldest received item has waited for its analysis; 0 when none waits."""
        self._gauges["ecg_inbox_oldest_seconds"].set(seconds)

    def outbox(self, state: str, n: int) -> None:
        """How many outbound messages are in a state of `audit.records.QueueState`."""
        self._gauges["ecg_outbox_messages"].labels(state).set(n)

    def monitored(self, kind: str, flag: bool, age_seconds: float) -> None:
        """What the newest report of a kind of `audit.monitoring_records.ReportKind` says."""
        self._gauges["ecg_monitoring_flag"].labels(kind).set(flag)
        self._gauges["ecg_monitoring_report_age_seconds"].labels(kind).set(age_seconds)

    def told(self, channel: str, outcome: str) -> None:
        """An attempt to tell of an alert was made. channel: a name from the settings. outcome: of
        `training.monitoring.telling.OUTCOMES`."""
        self._counters["ecg_alert_notices_total"].labels(channel, outcome).inc()

    def untold(self, unsent: Iterable[tuple[tuple[str, str], int]]) -> None:
        """How many notices are not sent, by channel and state of `audit.monitoring_records.NoticeState`."""
        self._gauges["ecg_alert_notices_unsent"].clear()
        for (channel, state), n in unsent:
            self._gauges["ecg_alert_notices_unsent"].labels(channel, state).set(n)

    def delivered(self, outcome: str) -> None:
        """One delivery was attempted; outcome: a word from the delivery worker's closed list."""
        self._counters["ecg_deliveries_total"].labels(outcome).inc()

    def ready(self, check: str, passed: bool) -> None:
        """What a readiness check said."""
        self._gauges["ecg_ready_check"].labels(check).set(passed)

    def model(self, info: ModelInfo) -> None:
        """The model that serves from now on."""
        self._gauges["ecg_model_info"].clear()
        self._gauges["ecg_model_info"].labels(info.name, info.version, info.status, info.sha256).set(1)

    def model_change(self, outcome: ModelChange) -> None:
        """Another model was activated, and this process took it up or failed to."""
        self._counters["ecg_model_changes_total"].labels(outcome).inc()

    def shadow_model(self, info: ModelInfo) -> None:
        """The model that runs in shadow mode."""
        self._gauges["ecg_shadow_model_info"].labels(info.name, info.version, info.status, info.sha256).set(1)

    def shadowed(self, outcome: ShadowOutcome) -> None:
        """An analysis was offered to the model in shadow mode, and this came of it."""
        self._counters["ecg_shadow_analyses_total"].labels(outcome).inc()

    def shadow_took(self, seconds: float) -> None:
        """How long the forward pass of the model in shadow mode took."""
        self._histograms["ecg_shadow_seconds"].observe(seconds)

    def looked_up(self, outcome: CacheOutcome) -> None:
        """Something was looked up in the feature cache."""
        self._counters["ecg_feature_cache_total"].labels(outcome).inc()

    def cards_shown(self, service: str, indicators: Sequence[str]) -> None:
        """A hook call was answered with these cards."""
        self._counters["ecg_cds_calls_total"].labels(service).inc()
        for indicator in indicators:
            self._counters["ecg_cds_cards_total"].labels(service, indicator).inc()

    def decided(self, rule: str, outcome: str, reason: str) -> None:
        """A user decided on a finding. rule: of the rules file. outcome, reason: words of closed lists."""
        self._counters["ecg_cds_decisions_total"].labels(rule, outcome, reason).inc()

    def exposition(self) -> tuple[bytes, str]:
        """The text of all metrics and its content type."""
        self._gauges["ecg_uptime_seconds"].set(time.time() - self._started)
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _start_series(self) -> None:
        """Begin the series whose labels are known at zero: a rate needs a value before the first event."""
        for door in Door:
            for name, family in COUNTERS.items():
                if family.labels == ("door",):
                    self._counters[name].labels(door)
            for fault in ServiceError.__subclasses__():
                self._counters["ecg_refused_total"].labels(door, fault.code)
        for urgency in Urgency:
            self._counters["ecg_analyses_urgency_total"].labels(urgency)
            self._counters["ecg_recommendations_total"].labels(urgency)
        for superclass in Superclass:
            self._counters["ecg_diagnoses_total"].labels(superclass)
        for outcome in ModelChange:
            self._counters["ecg_model_changes_total"].labels(outcome)
        for shadowed in ShadowOutcome:
            self._counters["ecg_shadow_analyses_total"].labels(shadowed)
        for found in CacheOutcome:
            self._counters["ecg_feature_cache_total"].labels(found)


def age_group(age: float | None) -> str:
    """The group of an age in years; `unknown` for None."""
    return "unknown" if age is None else next(name for end, name in AGE_GROUPS if age < end)
