"""SampledData <-> numbers (FHIR R4 section 2.24.0.14).

    value = origin + factor x datum

`data` holds decimals separated by spaces, or E (error), L (below) and U (above the detection limit). All three become
NaN: a limit is a bound and no measurement, and a plateau drawn at it would enter the model as if it were signal, while
the quality gate counts NaN as what it is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit import series
from inference.errors import InvalidContent, SamplingRateInvalid, SignalMalformed, UnitUnsupported
from inference.recording import MAX_SAMPLING_RATE, MIN_SAMPLING_RATE
from inference.units import to_millivolt
from interop import json_numbers
from interop.resources.codes import UCUM, Json, millivolts

MILLISECONDS = 1000.0
_NOT_MEASURED = frozenset("EUL")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# What is left of `data` without these is letters: E, U, L, or something that does not belong there.
_DECIMAL_BYTES = b"0123456789+-. \t\r\n"

# A thousand volts is no ECG in any unit; without a limit, sums of leads could leave the range of float32.
MAX_MILLIVOLTS = 1e6

# Steps to write a signal with, in mV: 1 uV as most devices store it, then finer ones for converters with other steps.
# 10 nV is below the noise of any of them.
RESOLUTIONS = (0.001, 0.0001, 0.00001)
# Part of a step that a float32 signal may be off the grid and still be on it.
ON_GRID = 0.01

LARGEST_COUNT = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One decoded SampledData. values: float64 (samples,) in mV, NaN where nothing was measured. period in ms."""

    values: NDArray[np.float64]
    period: float


def decode(sampled: Mapping[str, Any], element: str) -> Series:
    """Decode one lead. element: the FHIRPath expression of the SampledData, for errors.

    Raises UnitMissing, UnitUnsupported, SamplingRateInvalid, SignalMalformed.
    """
    origin = sampled["origin"]
    with located(f"{element}.origin"):
        to_mv = _unit(origin)
    if sampled["dimensions"] != 1:
        raise SignalMalformed(
            f"{sampled['dimensions']} dimensions; one component with one dimension for each lead is needed",
            element=f"{element}.dimensions",
        )
    with located(f"{element}.period"):
        period = _period(float(sampled["period"]))
    with located(f"{element}.data"):
        data = numbers(sampled.get("data"))
        with np.errstate(over="ignore", invalid="ignore"):
            values = (float(origin.get("value", 0.0)) + float(sampled.get("factor", 1.0)) * data) * to_mv
        # NaN, which is no number to compare, takes the second look only.
        if not np.abs(values).max() <= MAX_MILLIVOLTS and (~(np.abs(values) <= MAX_MILLIVOLTS) & ~np.isnan(data)).any():
            raise SignalMalformed(f"a value is beyond {MAX_MILLIVOLTS:g} mV")
    return Series(values, period)


def numbers(data: str | None) -> NDArray[np.float64]:
    """The decimals of `data`. Raises SignalMalformed naming the first token that is none."""
    if not data or data.isspace():
        raise SignalMalformed("there are no samples")
    # The strings hold digits and signs only: JSON then reads them as numbers or not at all.
    if not data.encode().translate(None, _DECIMAL_BYTES):
        found = json_numbers.numbers(f"[{data.replace(' ', ',')}]".encode())
        if found is not None:  # else two spaces, a line break or a broken number: told apart below
            return found
    return _token_by_token(data.split())


def _token_by_token(tokens: list[str]) -> NDArray[np.float64]:
    for position, token in enumerate(tokens):
        if token not in _NOT_MEASURED and not _DECIMAL.fullmatch(token):
            raise SignalMalformed(f"sample {position + 1} is {token[:20]!r}, neither a decimal nor E, U or L")
    return np.array([np.nan if token in _NOT_MEASURED else float(token) for token in tokens], np.float64)


def _unit(origin: Mapping[str, Any]) -> float:
    """The UCUM code decides; the text only where there is no code, or one of another system that we do not know."""
    code, text = origin.get("code"), origin.get("unit")
    if code is None:
        return to_millivolt(text)
    try:
        return to_millivolt(code)
    except UnitUnsupported:
        if origin.get("system") in (None, UCUM) or text is None:
            raise
        return to_millivolt(text)


def _period(milliseconds: float) -> float:
    rate = MILLISECONDS / milliseconds if milliseconds > 0 else 0.0
    if not MIN_SAMPLING_RATE <= rate <= MAX_SAMPLING_RATE:
        raise SamplingRateInvalid(
            f"a period of {milliseconds:g} ms is {rate:g} Hz; "
            f"{MIN_SAMPLING_RATE:g} to {MAX_SAMPLING_RATE:g} are accepted"
        )
    return milliseconds


@contextmanager
def located(element: str) -> Iterator[None]:
    """Give errors that rise inside the expression of the element that they concern."""
    try:
        yield
    except InvalidContent as error:
        raise type(error)(error.message, element=error.element or element) from error


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """A signal as whole multiples of a step in mV. values: float64 (leads, samples), NaN for invalid. period: ms."""

    values: NDArray[np.float64]
    step: float
    period: float

    def whole(self) -> NDArray[np.int32] | None:
        """The values as numbers; None where one is none, or too large."""
        largest = max(-self.values.min(), self.values.max())  # NaN if one value is
        return self.values.astype(np.int32) if largest <= LARGEST_COUNT else None

    def text(self, lead: int) -> str:
        """The samples of one lead: whole numbers with spaces between; E for NaN."""
        counts = self.values[lead]
        missing = np.isnan(counts)
        written = series.whole_numbers(np.where(missing, 0, counts).astype(np.int64)).decode("ascii")
        if not missing.any():
            return written
        marked = np.array(written.split(" "), dtype=object)
        marked[missing] = "E"
        return " ".join(marked)

    def sampled(self, data: Callable[[int], Any]) -> list[Json]:
        """One SampledData for each lead. data: gives that of a lead."""
        head = {
            "origin": millivolts(0),
            "period": int(self.period) if self.period.is_integer() else self.period,
            "factor": self.step,
            "dimensions": 1,
        }
        return [head | {"data": data(lead)} for lead in range(len(self.values))]


def counted(signal: NDArray[np.float32], sampling_rate: float) -> Counts:
    """The signal (leads, samples) in mV; at most half a step is lost."""
    step = resolution(signal)
    counts = signal.astype(np.float64)
    counts /= step
    np.rint(counts, out=counts)
    return Counts(counts, step, MILLISECONDS / sampling_rate)


def resolution(signal: NDArray[np.float32]) -> float:
    """The coarsest step in mV that all samples are multiples of; the finest there is when none fits."""
    for step in RESOLUTIONS:
        # In place: the system takes longer to provide memory for intermediate results than numpy to calculate them.
        scaled = signal / np.float32(step)
        off = np.rint(scaled)
        np.abs(np.subtract(scaled, off, out=off), out=off)
        np.abs(scaled, out=scaled)
        scaled *= np.finfo(np.float32).eps
        scaled += ON_GRID
        if not (off > scaled).any():
            return step
    return RESOLUTIONS[-1]
