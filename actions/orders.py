"""What an ECG says to somebody who is ordering: which orders a group means, and which alerts the rules raise.

A finding counts only where the ECG can be read: not when it is uninterpretable or outside the intended use, not when
undated or too old for the rule, and no class and no axis where limb electrodes may be interchanged. What is not
measured fulfils no condition. As everywhere, nothing is more urgent than routine once the recording is older than the
acute window, and nothing immediate where a lead reversal is suspected; no rules file can lift that.

Whose order it is and which ECGs are the patient's, the caller knows; a silent analysis is not for showing.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from actions.analysis import Analysis, Urgency
from actions.conclusion import MEASUREMENT_NAMES, Evidence
from actions.mapping import fires
from actions.recency import judge_recency
from actions.rules import ConclusionKind, Limits, OrderGroup, OrderKind, OrderRule, Policy, When
from inference.labels import Superclass
from inference.quality import QualityCode

# From here on QTc overstates repolarisation, since the QRS is part of it (AHA/ACCF/HRS recommendations for the
# electrocardiogram, part IV, doi:10.1161/CIRCULATIONAHA.108.191096; 120 ms: part III).
WIDE_QRS = 120.0

ACUTE_WINDOW = timedelta(hours=24)

WORD = re.compile(r"[^\W_]+")
# Hyphen-minus, soft hyphen, the dashes of Unicode's General Punctuation, minus sign.
HYPHENS = re.compile("[-\u00ad\u2010-\u2015\u2212]")
# The names of all groups are looked for in every order, and the texts of orders repeat: a formulary has thousands.
MAX_READ_TEXTS = 4096


@dataclass(frozen=True, slots=True)
class Order:
    """What is being ordered. codings: (system or None, code) pairs. texts: displays and free texts. kind: None where
    unknown."""

    codings: tuple[tuple[str | None, str], ...] = ()
    texts: tuple[str, ...] = ()
    kind: OrderKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAlert:
    """What to say about one order. rule: its id. group: what the order was taken for. rationale: the rule's, and what
    limits it here. source: full citations. evidence: sentences with the numbers of the ECG."""

    rule: str
    group: OrderGroup
    action: str
    urgency: Urgency
    rationale: str
    source: str
    evidence: tuple[str, ...]


def matches(group: OrderGroup, order: Order) -> bool:
    """Whether the order belongs to the group: by a code of it (same system), or by a name as whole words in any text.

    Case, accents and hyphens do not matter. A name is not looked for in an order of another kind.
    """
    codes = {(coding.system, coding.code) for coding in group.codes}
    if not codes.isdisjoint(order.codings):
        return True
    if None not in (group.kind, order.kind) and group.kind != order.kind:
        return False
    return any(_names(name, text) for text in order.texts for name in group.names)


def order_alerts(
    policy: Policy,
    order: Order,
    ecg: Analysis | None,
    previous: Analysis | None,
    now: datetime,
    acute_window: timedelta = ACUTE_WINDOW,
) -> tuple[OrderAlert, ...]:
    """What the rules say of this order, most urgent first, then in the order of the file.

    ecg: the patient's newest ECG, previous: the one before it; None where there is none. now is aware. acute_window:
    alerts from older recordings are routine.
    """
    if ecg is None or ecg.prediction is None or ecg.outside_intended_use:
        return ()
    found = _alerts(policy, order, _Known(ecg=ecg, previous=previous, now=now, acute_window=acute_window))
    return tuple(sorted(found, key=lambda alert: alert.urgency.rank))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of the patient: an `ecg` that may be read, and perhaps one before it."""

    ecg: Analysis
    previous: Analysis | None
    now: datetime
    acute_window: timedelta

    @property
    def lead_reversal(self) -> bool:
        return self.ecg.quality.has(QualityCode.LEAD_REVERSAL)

    def evidence(self, within: timedelta) -> Evidence | None:
        """What rules may look at; None when it cannot be read, or was not recorded `within` that time."""
        recency = judge_recency(self.ecg.recorded_at, self.now, within)
        if self.ecg.prediction is None or not recency.acute:
            return None
        measurements = self.ecg.measurements
        return Evidence(
            prediction=self.ecg.prediction,
            quality=self.ecg.quality,
            # The axis comes out of the limb leads themselves; the intervals hold whichever lead is called which.
            measurements=replace(measurements, axis=None) if self.lead_reversal else measurements,
            age=self.ecg.age,
            sex=self.ecg.sex,
            recency=recency,
        )

    def earlier(self) -> frozenset[Superclass] | None:
        """The classes that were decided in the ECG before; None when there is none to compare with."""
        if self.incomparable() is not None or self.previous is None or self.previous.prediction is None:
            return None
        return frozenset(self.previous.prediction.decided)

    def incomparable(self) -> str | None:
        """Why there is nothing to compare with, as a sentence; None when there is."""
        if self.previous is None:
            return "There is no previous ECG to compare with."
        reasons = {
            "it could not be interpreted": self.previous.prediction is None,
            "it lies outside the intended use": bool(self.previous.outside_intended_use),
            "a lead reversal is suspected in it": self.previous.quality.has(QualityCode.LEAD_REVERSAL),
        }
        why = next((reason for reason, applies in reasons.items() if applies), None)
        return why and f"The previous ECG cannot be compared with ({why}), so the finding counts as new."


def _alerts(policy: Policy, order: Order, known: _Known) -> Iterator[OrderAlert]:
    groups = {group.id: group for rule in policy.order_rules for group in rule.orders}
    belongs = {group_id for group_id, group in groups.items() if matches(group, order)}
    for rule in policy.order_rules:
        group = next((group for group in rule.orders if group.id in belongs), None)
        evidence = known.evidence(rule.within)
        if group is not None and evidence is not None and _fulfilled(rule, evidence, known):
            urgency, limits = _capped(rule.urgency, known)
            yield OrderAlert(
                rule=rule.id,
                group=group,
                action=rule.action,
                urgency=urgency,
                rationale=" ".join([rule.rationale, *_notes(rule, known), *limits]),
                source=rule.source,
                evidence=tuple(_sentences(policy, rule, evidence, known)),
            )


def _fulfilled(rule: OrderRule, evidence: Evidence, known: _Known) -> bool:
    if known.lead_reversal and _reads_classes(rule.when):
        return False
    if rule.new and rule.when.diagnosis in (known.earlier() or ()):
        return False
    # The kind of the conclusion is no condition of an order's rule.
    return fires(rule.when, evidence, ConclusionKind.FINDINGS)


def _reads_classes(when: When) -> bool:
    return when.diagnosis is not None or bool(when.with_all | when.with_any | when.without)


def _capped(urgency: Urgency, known: _Known) -> tuple[Urgency, list[str]]:
    """No more urgent than the recording allows, with a sentence for each limit that changed it."""
    recent = judge_recency(known.ecg.recorded_at, known.now, known.acute_window).acute
    caps = [(Urgency.ROUTINE, "not recent")] if not recent else []
    caps += [(Urgency.URGENT, "lead reversal is suspected")] if known.lead_reversal else []
    notes = []
    for highest, reason in caps:
        if urgency.rank < highest.rank:
            notes.append(f"Downgraded from {urgency} to {highest}: {reason}.")
            urgency = highest
    return urgency, notes


def _notes(rule: OrderRule, known: _Known) -> Iterator[str]:
    """What a reader must know before believing the alert."""
    why = known.incomparable()
    if rule.new and why is not None:
        yield why
    qrs = known.ecg.measurements.qrs
    if "qtc" in rule.when.measurements and qrs is not None and qrs >= WIDE_QRS:
        yield f"QRS is {qrs:.0f} ms: a wide QRS overstates QTc."


def _sentences(policy: Policy, rule: OrderRule, evidence: Evidence, known: _Known) -> Iterator[str]:
    recorded = f", {_lowered(evidence.recency.text)}"
    for measurement, limits in rule.when.measurements.items():
        yield f"{_measured(measurement, getattr(evidence.measurements, measurement), limits)}{recorded}"
    diagnosis = rule.when.diagnosis
    wanted = {diagnosis, *rule.when.with_all, *rule.when.with_any}
    for superclass in evidence.prediction.decided:
        if superclass in wanted:
            phrase = policy.wording.findings.get(superclass, superclass.value)
            yield f"{_raised(phrase)} (probability {evidence.prediction.probabilities[superclass]:.2f}){recorded}"
    if rule.when.age is not None and evidence.age is not None:
        yield f"Age {int(evidence.age)} years."
    if rule.new and known.previous is not None and known.incomparable() is None:
        before = judge_recency(known.previous.recorded_at, known.now, known.acute_window).text
        yield f"Not found in the previous ECG, {_lowered(before)}"


def _measured(measurement: str, value: float, limits: Limits) -> str:
    """`QTc 520 ms (Fridericia)`; with a decimal where a rounded number would seem to miss the limits."""
    name, unit = MEASUREMENT_NAMES[measurement]
    number = f"{value:.0f}" if limits.hold(round(value)) else f"{value:.1f}"
    return f"{_raised(name)} {number}{unit}{' (Fridericia)' if measurement == 'qtc' else ''}"


def _raised(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]


def _lowered(sentence: str) -> str:
    """`Recorded 3 hours ago.` as the end of another sentence."""
    return "undated." if "undated" in sentence else sentence[:1].lower() + sentence[1:]


def _names(name: str, text: str) -> bool:
    """Whether `name` stands in `text` as whole words, hyphens read as spaces or as nothing."""
    return any(wanted in words for words in _readings(text) for wanted in _readings(name))


@lru_cache(maxsize=MAX_READ_TEXTS)
def _readings(text: str) -> frozenset[str]:
    """The words of a text, without case and accents, each between two spaces: with hyphens between words, and with
    hyphens inside them. None for a text without a word."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character)).casefold()
    found = (WORD.findall(HYPHENS.sub(hyphen, plain)) for hyphen in (" ", ""))
    return frozenset(f" {' '.join(words)} " for words in found if words)
