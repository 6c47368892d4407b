"""What drift is looked for in: columns of a sample of ECGs, the same of live analyses and of a reference.

Signal columns are clinical features of `inference.features`, read below 40 Hz at one internal rate: an ECG of 100 Hz
and one of 500 Hz give the same numbers. Not all 250 are looked at: the others are sums and neighbours of these.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.quality import QualityCode
from inference.recording import LEADS, Sex
from training.monitoring.observed import HASTE, AnalysisSeen
from training.monitoring.truth import read_detail

Numbers = NDArray[np.float64]  # (ecgs,), NaN for unknown
Words = NDArray[np.object_]  # (ecgs,) of str, None for unknown


class Family(StrEnum):
    """What a column is about; findings and alerts go by it."""

    SIGNAL = "signal"
    QUALITY = "quality"
    DEMOGRAPHICS = "demographics"
    SOURCES = "sources"
    OUTPUT = "output"
    CONCEPT = "concept"


LEAD_FEATURES = ("qrs_ptp", "qrs_net", "st60", "t", "p")
GLOBAL_FEATURES = (
    "heart_rate",
    "rr_cv",
    "noise",
    "beat_similarity",
    "pr",
    "qrs",
    "qtc",
    "axis",
    "limb_voltage",
    "chest_voltage",
    "r_progression",
    "qrs_fast_share",
    "qrs_complexity",
)
SIGNAL = (*(f"{lead}_{name}" for name in LEAD_FEATURES for lead in LEADS), *GLOBAL_FEATURES)
PLACES = {name: FEATURE_NAMES.index(name) for name in SIGNAL}
FEATURE_BYTES = 4 * len(FEATURE_NAMES)

YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. numeric: of numbers, else of words."""

    name: str
    family: Family
    numeric: bool


COLUMNS: tuple[Column, ...] = (
    *(Column(name, Family.SIGNAL, True) for name in SIGNAL),
    Column("interpretable", Family.QUALITY, False),
    *(Column(f"quality {code.value}", Family.QUALITY, False) for code in QualityCode),
    Column("age", Family.DEMOGRAPHICS, True),
    Column("sex", Family.DEMOGRAPHICS, False),
    *(Column(name, Family.SOURCES, False) for name in ("door", "sender", "sampling rate")),
    *(Column(f"probability {c.value}", Family.OUTPUT, True) for c in Superclass),
    *(Column(f"decided {c.value}", Family.OUTPUT, False) for c in Superclass),
    Column("urgent", Family.OUTPUT, False),
)
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """columns: name -> Numbers or Words, of all `COLUMNS`, one value an ECG."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def known(self, name: str) -> NDArray[Any]:
        """The values of a column that are known."""
        values = self.columns[name]
        if BY_NAME[name].numeric:
            is_known = ~np.isnan(values)
        else:
            is_known = np.array([value is not None for value in values], bool)
        found: NDArray[Any] = values[is_known]
        return found

    def where(self, chosen: Sequence[int] | NDArray[Any]) -> "Sample":
        """These ECGs, also repeatedly."""
        return Sample({name: values[chosen] for name, values in self.columns.items()})


def sample_of(rows: Iterable[AnalysisSeen]) -> Sample:
    """The columns of these analyses."""
    found = [_row(row) for row in rows]
    return Sample({column.name: _array(column, [values[column.name] for values in found]) for column in COLUMNS})


def _array(column: Column, values: Sequence[Any]) -> NDArray[Any]:
    if column.numeric:
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array(values, dtype=object)


def _row(row: AnalysisSeen) -> dict[str, Any]:
    detail = read_detail(row.detail)
    codes = {finding["code"] for finding in detail["quality"]["findings"]}
    features = _features(row.features)
    return {
        **{name: features[place] for name, place in PLACES.items()},
        "interpretable": _word(row.interpretable),
        **{f"quality {code.value}": _word(code.value in codes) for code in QualityCode},
        "age": row.age,
        "sex": None if row.sex == Sex.UNKNOWN.value else row.sex,
        "door": row.door,
        "sender": row.sender or "",
        "sampling rate": f"{detail['sampling_rate']:g} Hz",
        **_output(row, detail),
    }


def _output(row: AnalysisSeen, detail: Mapping[str, Any]) -> dict[str, Any]:
    probabilities = row.probabilities
    limits = (detail["prediction"] or {}).get("thresholds") or {}

    def of_class(value: Callable[[float, float], Any]) -> list[Any]:
        if probabilities is None:
            return [None] * len(Superclass)
        return [value(probabilities[c.value], limits[c.value]) for c in Superclass]

    return {
        **dict(zip((f"probability {c.value}" for c in Superclass), of_class(lambda p, _: p), strict=True)),
        **dict(zip((f"decided {c.value}" for c in Superclass), of_class(lambda p, t: _word(p >= t)), strict=True)),
        "urgent": None if probabilities is None else _word(row.urgency in HASTE),
    }


def _features(stored: bytes | None) -> NDArray[np.float64]:
    """Those of another version of the features, or of none, are unknown."""
    if stored is None or len(stored) != FEATURE_BYTES:
        return np.full(len(FEATURE_NAMES), np.nan)
    return np.frombuffer(stored, "<f4").astype(np.float64)


def _word(holds: bool) -> str:
    return YES if holds else NO
