"""What has changed since the previous ECG, in words."""

from collections.abc import Iterator

from actions.analysis import Analysis
from actions.conclusion import MEASUREMENT_NAMES
from inference.labels import SUPERCLASS_NAMES, Superclass

# Smaller differences lie within what two recordings of one heart differ by: 10 ms of a duration is a quarter of a
# millimetre on paper.
CHANGES = {"heart_rate": 20.0, "pr": 20.0, "qrs": 20.0, "qtc": 30.0, "axis": 30.0}


def compared(now: Analysis, before: Analysis) -> tuple[str, ...]:
    """What is new, what is gone, and which measurements have changed. At least one sentence."""
    if now.prediction is None or before.prediction is None:
        return ("The previous ECG could not be interpreted; there is nothing to compare with.",)
    found = _abnormal(now), _abnormal(before)
    texts = [*_groups("New", found[0] - found[1]), *_groups("Found in both", found[0] & found[1])]
    texts += [*_groups("No longer found", found[1] - found[0]), *_measurements(now, before)]
    return tuple(texts) or ("No assessed group was found in either, and no measurement has changed.",)


def _abnormal(analysis: Analysis) -> frozenset[Superclass]:
    assert analysis.prediction is not None
    return frozenset(analysis.prediction.decided) - {Superclass.NORM}


def _groups(what: str, superclasses: frozenset[Superclass]) -> Iterator[str]:
    if superclasses:
        yield f"{what}: {', '.join(SUPERCLASS_NAMES[one] for one in Superclass if one in superclasses)}."


def _measurements(now: Analysis, before: Analysis) -> Iterator[str]:
    for field, least in CHANGES.items():
        value, other = getattr(now.measurements, field), getattr(before.measurements, field)
        if value is not None and other is not None and _difference(field, value, other) >= least:
            name, unit = MEASUREMENT_NAMES[field]
            yield f"{name[0].upper()}{name[1:]} {value:.0f}{unit}, before {other:.0f}{unit}."


def _difference(field: str, value: float, other: float) -> float:
    """Of an axis the shorter way round."""
    difference = abs(value - other)
    return min(difference, 360.0 - difference) if field == "axis" else difference
