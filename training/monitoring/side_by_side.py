"""What the model that serves and one in shadow mode said of the same ECGs, gathered without keeping their rows: a month
of a large hospital is a hundred thousand of them."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from inference.labels import Superclass
from training.bootstrap import Mask
from training.monitoring.observed import HASTE, AnalysisSeen, OverreadSeen, ShadowSeen
from training.monitoring.truth import as_table, labels_of, read_detail

Model = tuple[str, str]  # name and version


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one of the two said of some ECGs. probabilities, decisions: (n, 5). urgent: (n,)."""

    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    urgent: Mask

    def only(self, places: Sequence[int]) -> "Said":
        """Of these ECGs."""
        chosen = list(places)
        return Said(self.probabilities[chosen], self.decisions[chosen], self.urgent[chosen])


@dataclass(slots=True)
class Saying:
    """The same while it is gathered: probabilities and decisions lie flat, five of each ECG. seconds: of forward
    passes."""

    probabilities: "array[float]" = field(default_factory=lambda: array("d"))
    decisions: bytearray = field(default_factory=bytearray)
    urgent: bytearray = field(default_factory=bytearray)
    seconds: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, probabilities: Mapping[str, float], decided: Iterable[str], urgency: str) -> None:
        """Of one more ECG."""
        chosen = frozenset(decided)
        self.probabilities.extend(probabilities.get(c.value, np.nan) for c in Superclass)
        self.decisions.extend(c.value in chosen for c in Superclass)
        self.urgent.append(urgency in HASTE)

    def said(self) -> Said:
        """As arrays."""
        wide = (-1, len(Superclass))
        return Said(
            np.array(self.probabilities, np.float64).reshape(wide),
            np.frombuffer(bytes(self.decisions), np.bool_).reshape(wide),
            np.frombuffer(bytes(self.urgent), np.bool_),
        )


@dataclass(slots=True)
class Compared:
    """Both, of all ECGs that one model in shadow mode saw. served_by: which models served. weights: checksums of the
    one in shadow mode, others in another precision. labels: what clinicians said, by the place of the ECG."""

    first: datetime
    last: datetime
    served: Saying = field(default_factory=Saying)
    shadow: Saying = field(default_factory=Saying)
    modes: Counter[str] = field(default_factory=Counter)
    served_by: Counter[Model] = field(default_factory=Counter)
    weights: dict[str, None] = field(default_factory=dict)
    labels: dict[int, Mapping[str, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.modes.total()

    def add(self, row: AnalysisSeen, said: ShadowSeen, overread: OverreadSeen | None) -> None:
        """One more, made after all before."""
        if overread is not None:
            self.labels[len(self)] = labels_of(overread)
        self.last = row.analyzed_at
        self.modes[row.mode] += 1
        self.served_by[row.model_name or "", row.model_version or ""] += 1
        self.weights[said.model_sha256] = None
        detail, probabilities = read_detail(row.detail), row.probabilities or {}
        thresholds: Mapping[str, float] = (detail.get("prediction") or {}).get("thresholds") or {}
        decided = [name for name, limit in thresholds.items() if probabilities.get(name, -1.0) >= limit]
        self.served.add(probabilities, decided, row.urgency)
        self.shadow.add(said.probabilities, said.decided, said.urgency)
        seconds = (detail.get("timings") or {}).get("classify")
        if seconds is not None:  # None: the feature cache knew
            self.served.seconds.append(seconds)
        self.shadow.seconds.append(said.milliseconds / 1000)

    def truth(self) -> tuple[NDArray[np.float64], list[int]]:
        """Labels (n, 5) of those that were over-read, NaN where nothing was said, and the places of these."""
        places = sorted(self.labels)
        return as_table([self.labels[place] for place in places]), places


def gather(rows: Iterable[tuple[AnalysisSeen, ShadowSeen, OverreadSeen | None]]) -> dict[Model, Compared]:
    """By the model that ran in shadow mode. rows: oldest first."""
    found: dict[Model, Compared] = {}
    for row, said, overread in rows:
        model = said.model_name, said.model_version
        if model not in found:
            found[model] = Compared(row.analyzed_at, row.analyzed_at)
        found[model].add(row, said, overread)
    return found
