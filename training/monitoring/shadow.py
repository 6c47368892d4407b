"""The model that serves against one in shadow mode, on the same ECGs: what would change if it were promoted.

Without a clinician's word the two can only be held against each other: how often they decide alike, how far their
probabilities lie apart, how often each calls an ECG urgent. Where reports were over-read both are held against the
truth. Live and silent analyses are both compared: who was told has no part in it.

What could not be compared is no draw at random: it is left out when much comes at once. So the share that was compared
is told, of all analyses from the first to the last that the model saw.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.labels import Superclass
from training.bootstrap import Interval, bootstrap, mean_of
from training.monitoring.groups import MIN_GROUP
from training.monitoring.observed import Observed, Window
from training.monitoring.outcome import Finding, Judgement, Outcome
from training.monitoring.paired import Table, apart, auc_difference
from training.monitoring.performance import percentiles
from training.monitoring.shares import interval_json, share
from training.monitoring.side_by_side import Compared, Model, Said, gather
from training.monitoring.truth import Column, enough
from training.ranking import auc

SERVED, SHADOW = "served", "shadow"
MOST_APART = 0.02  # of urgent rates: two ECGs in a hundred more or fewer are what a ward notices
LEAST_COMPARED = 0.8  # of the analyses: below that the quiet hours speak for the busy ones

LIMITS = {"urgent_difference": MOST_APART, "compared": LEAST_COMPARED}

RESOLUTION = timedelta(microseconds=1)  # of stored times


def monitor(seen: Observed, window: Window) -> Outcome:
    """Compare the newest model that ran in shadow mode in a window with what served."""
    found = gather(seen.shadowed(window.begin, window.end))
    if not found:
        return nothing()
    newest = max(found, key=lambda model: found[model].last)
    compared = found.pop(newest)
    return judge(newest, compared, seen.classified(compared.first, compared.last + RESOLUTION), found)


def nothing() -> Outcome:
    """The report where no model ran in shadow mode: there is nothing that anybody would have to look at."""
    content = {
        "judgement": Judgement.NOTHING,
        "analyses": 0,
        "overreads": {"n": 0},
        "shadow": None,
        "limits": LIMITS,
    }
    text = "No model ran in shadow mode."
    return Outcome(content=content, findings=(_urgent(False, text), _auc(False, text), _complete(False, text)))


def judge(model: Model, found: Compared, classified: int, others: Mapping[Model, Compared]) -> Outcome:
    """The report. classified: how many analyses there were from the first to the last that were compared. others: what
    other models in shadow mode saw."""
    served, shadow = found.served.said(), found.shadow.said()
    labels, places = found.truth()
    over_read = served.only(places), shadow.only(places)
    urgent = Table.of(served.urgent, shadow.urgent)
    areas = _areas(labels, *over_read)
    complete = share(len(found), max(classified, len(found)), "compared")
    alike = int((served.decisions == shadow.decisions).all(axis=1).sum())
    name, version = model
    content = {
        "judgement": _judgement(len(found)),
        "analyses": len(found),
        "modes": dict(found.modes),
        "shadow": {
            "name": name,
            "version": version,
            "sha256": list(found.weights),
            "first": found.first.isoformat(),
            "last": found.last.isoformat(),
        },
        "other_shadows": _models({model: len(one) for model, one in others.items()}),
        "served": _models(found.served_by),
        "compared": complete,
        "urgent": {
            SERVED: share(int(served.urgent.sum()), len(found), "urgent"),
            SHADOW: share(int(shadow.urgent.sum()), len(found), "urgent"),
            "difference": interval_json(urgent.difference),
            **urgent.to_json(SERVED, SHADOW),
        },
        "agreement": share(alike, len(found), "agreed"),
        "classes": {
            c.value: _class(place, served, shadow) | {"overreads": _truth(labels[:, place], place, *over_read)}
            for place, c in enumerate(Superclass)
        },
        "overreads": {"n": len(places), "macro_auc": areas and _areas_json(areas)},
        "latency": {SERVED: percentiles(found.served.seconds), SHADOW: percentiles(found.shadow.seconds)},
        "limits": LIMITS,
    }
    findings = (_urgent_finding(urgent), _auc_finding(areas), _complete_finding(complete))
    return Outcome(content=content, findings=findings)


def _class(place: int, served: Said, shadow: Said) -> dict[str, Any]:
    table = Table.of(served.decisions[:, place], shadow.decisions[:, place])
    return {
        "judgement": _judgement(table.n),
        "agreement": share(table.both + table.neither, table.n, "agreed"),
        "kappa": table.kappa,
        "decided": {
            SERVED: share(table.both + table.first, table.n, "decided"),
            SHADOW: share(table.both + table.second, table.n, "decided"),
        },
        "probability_apart": apart(served.probabilities[:, place], shadow.probabilities[:, place]),
    }


def _truth(labels: Column, place: int, served: Said, shadow: Said) -> dict[str, Any]:
    """Both against what clinicians said. `right`: how often both, one of them or neither decided as they did."""
    sides = {SERVED: served.decisions[:, place], SHADOW: shadow.decisions[:, place]}
    known, positive, negative = ~np.isnan(labels), labels == 1, labels == 0
    right = [(decided == positive)[known] for decided in sides.values()]
    areas = None
    if enough(labels):
        n, pair = len(labels), (served.probabilities[:, place], shadow.probabilities[:, place])
        areas = (*(bootstrap(auc(labels, one), n) for one in pair), bootstrap(auc_difference(labels, *pair), n))
    return {
        "n": int(known.sum()),
        "positives": int(positive.sum()),
        "judgement": Judgement.JUDGED if areas else Judgement.TOO_FEW,
        "auc": areas and _areas_json(areas),
        "sensitivity": {who: share(int((d & positive).sum()), int(positive.sum())) for who, d in sides.items()},
        "specificity": {who: share(int((~d & negative).sum()), int(negative.sum())) for who, d in sides.items()},
        "right": Table.of(*right).to_json(SERVED, SHADOW),
    }


Areas = tuple[Interval | None, ...]  # of the model that serves, of the one in shadow mode, and their difference


def _areas(labels: NDArray[np.float64], served: Said, shadow: Said) -> Areas | None:
    """The means over the superclasses, which all have to be judged."""
    if not all(enough(labels[:, place]) for place in range(len(Superclass))):
        return None
    columns = [
        (labels[:, place], served.probabilities[:, place], shadow.probabilities[:, place])
        for place in range(len(Superclass))
    ]
    of_each = (
        mean_of([auc(truth, one) for truth, one, _ in columns]),
        mean_of([auc(truth, other) for truth, _, other in columns]),
        mean_of([auc_difference(*column) for column in columns]),
    )
    return tuple(bootstrap(statistic, len(labels)) for statistic in of_each)


def _areas_json(areas: Areas) -> dict[str, Any]:
    return dict(zip((SERVED, SHADOW, "difference"), map(interval_json, areas), strict=True))


def _models(counts: Mapping[Model, int]) -> list[dict[str, Any]]:
    return [{"name": name, "version": version, "n": n} for (name, version), n in counts.items()]


def _judgement(n: int) -> Judgement:
    return Judgement.JUDGED if n >= MIN_GROUP else Judgement.TOO_FEW


def _urgent_finding(table: Table) -> Finding:
    difference = table.difference
    if difference is None or table.n < MIN_GROUP:
        return _urgent(None, f"Fewer than {MIN_GROUP} analyses were compared.")
    served, shadow = ((table.both + only) / table.n for only in (table.first, table.second))
    flag = difference.low > MOST_APART or difference.high < -MOST_APART
    text = (
        f"{served:.1%} as served, {shadow:.1%} by the model in shadow mode; apart {difference.value:+.1%} "
        f"({difference.low:+.1%} to {difference.high:+.1%}), told beyond {MOST_APART:.0%}."
    )
    return _urgent(flag, text)


def _auc_finding(areas: Areas | None) -> Finding:
    difference = areas[-1] if areas else None
    if difference is None:
        return _auc(None, "Too few over-reads to judge.")
    text = f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}) against the model that serves."
    return _auc(difference.high < 0, text)


def _complete_finding(complete: Mapping[str, Any]) -> Finding:
    if complete["n"] < MIN_GROUP:
        return _complete(None, f"Fewer than {MIN_GROUP} analyses.")
    text = f"{complete['compared']} of {complete['n']} ({complete['rate']:.1%}), needed {LEAST_COMPARED:.0%}."
    return _complete(complete["high"] < LEAST_COMPARED, text)


def _urgent(flag: bool | None, text: str) -> Finding:
    return _finding("urgent", flag, "Urgent rates of the model in shadow mode", text)


def _auc(flag: bool | None, text: str) -> Finding:
    return _finding("auc", flag, "Macro-AUC of the model in shadow mode by over-reads", text)


def _complete(flag: bool | None, text: str) -> Finding:
    return _finding("compared", flag, "Analyses that the model in shadow mode saw", text)


def _finding(what: str, flag: bool | None, title: str, text: str) -> Finding:
    """As information: of what nobody is told nobody is harmed."""
    return Finding(key=f"shadow:{what}", flag=flag, severity="info", title=title, text=text)
