"""Which analyses are traffic: what reaches clinicians now. Silent ones do not, and ECGs of archives are not of now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from training.monitoring.observed import LIVE, AnalysisSeen, Window
from training.monitoring.truth import read_detail

WINDOW_ECGS = 300
EARLIER_ECGS = 2700  # that senders and doors are compared with

SILENT, ARCHIVED, BEFORE = "silent", "archived", "before the window"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Live ECGs, oldest first. left_out: reason -> how many of those looked at."""

    current: Sequence[AnalysisSeen]
    earlier: Sequence[AnalysisSeen]
    left_out: Mapping[str, int]


def is_traffic(row: AnalysisSeen) -> bool:
    """Whether it is live, and of an ECG that was just recorded."""
    return _reason(row) is None


def traffic_of(rows: Iterable[AnalysisSeen], window: Window) -> Traffic:
    """The live ECGs among these, which are oldest first."""
    left_out = dict.fromkeys((SILENT, ARCHIVED, BEFORE), 0)
    live = []
    for row in rows:
        reason = BEFORE if row.analyzed_at < window.begin else _reason(row)
        if reason is None:
            live.append(row)
        else:
            left_out[reason] += 1
    return Traffic(current=live[-WINDOW_ECGS:], earlier=live[:-WINDOW_ECGS], left_out=left_out)


def _reason(row: AnalysisSeen) -> str | None:
    if row.mode != LIVE:
        return SILENT
    return ARCHIVED if read_detail(row.detail)["archived"] else None
