"""Our readers beside the libraries that one would take otherwise, on the same bytes.

Ours give a validated Recording, an array in millivolts; the others stop at lists of texts or of floats, which is less
than what is needed: the comparison is in their favour.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from tests.bench import messages
from tests.bench.figures import Budget, Row, Table, times
from tests.bench.sizes import Sizes

SLOW_REPEATS = 20  # of libraries that take a fraction of a second


def timed(work: Callable[[], Any], repeats: int) -> list[float]:
    """Seconds of each repeat, after one that is not counted."""
    work()
    return [_once(work) for _ in range(repeats)]


def _once(work: Callable[[], Any]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def measure(sizes: Sizes) -> tuple[Table, ...]:
    """One table for each format."""
    return _oru(sizes), _observation(sizes), _prediction(sizes)


def _oru(sizes: Sizes) -> Table:
    import hl7

    from interop.hl7.message import parse
    from interop.hl7.oru import decode
    from interop.hl7.senders import load_senders

    content = messages.orus()[0].fill(0)
    text, sender = content.decode(), load_senders(None, "UTC").of("")
    ours = timed(lambda: decode(parse(content), sender), sizes.repeats)
    others = [times("python-hl7: hl7.parse", timed(lambda: hl7.parse(text), min(SLOW_REPEATS, sizes.repeats)))]
    if sizes.slow_library:
        from hl7apy.parser import parse_message

        once = _once(lambda: parse_message(text))
        others.append(Row(what="hl7apy: parse_message, once", p50=1000 * once))
    title = f"Parsing an ORU of {len(content) // 1000} KB"
    return _compared(title, "ours, to a Recording", ours, others, Budget("factor", 20.0))


def _observation(sizes: Sizes) -> Table:
    from fhir.resources.R4B.observation import Observation

    from interop.resources.observation import parse, to_recording

    content = messages.observations()[0].fill(0)

    def by_library() -> list[list[float]]:
        observation: Any = Observation.model_validate_json(content)
        return [[float(part) for part in c.valueSampledData.data.split()] for c in observation.component]

    ours = timed(lambda: to_recording(parse(content)), sizes.repeats)
    others = [times("fhir.resources, float() of each sample", timed(by_library, sizes.repeats))]
    title = f"Parsing an Observation of {len(content) // 1000} KB"
    return _compared(title, "ours, checks included, to a Recording", ours, others)


def _prediction(sizes: Sizes) -> Table:
    from pydantic import BaseModel

    from interop.predict.schema import read

    class Body(BaseModel):
        ecg_signal: list[list[float]]
        patient_age: float | None = None
        patient_sex: str | None = None

    content, now = messages.predictions()[0].fill(0), datetime.now(UTC)
    ours = timed(lambda: read(content, now), sizes.repeats)
    others = [times("pydantic: list[list[float]]", timed(lambda: Body.model_validate_json(content), sizes.repeats))]
    title = f"Parsing /predict, {len(content) // 1000} KB"
    return _compared(title, "ours, to a Recording", ours, others, Budget("p50", 3.5))


def _compared(title: str, what: str, ours: list[float], others: list[Row], *budgets: Budget) -> Table:
    """`ours` beside the others; the first of them is the one to compare with."""
    mine, other = times(what, ours), others[0]
    assert mine.p50 is not None
    assert other.p50 is not None
    first = replace(mine, factor=other.p50 / mine.p50, budgets=budgets, note=f"than {other.what}")
    return Table(title, (first, *others))
