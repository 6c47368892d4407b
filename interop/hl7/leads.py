"""Waveform OBX of one OBR group -> leads in millivolts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inference.errors import SamplingRateInvalid, SignalMalformed, UnitMissing, UnitUnsupported
from inference.lead_codes import lead_of
from inference.units import to_millivolt
from interop.hl7.arrays import read_array
from interop.hl7.facets import (
    DATA_RANGE,
    INVALID,
    RESOLUTION,
    SAMPLING_RATE,
    FacetTable,
    facets_of,
    limits,
    names_in,
    number_in,
    sampling_rate,
)
from interop.hl7.fields import Separators
from interop.hl7.message import Obx, OrderGroup

_DIMENSIONLESS = frozenset({"mdc_dim_dimless", "262656", "1", "{count}", "{counts}", "counts"})

# Full scale of the 16-bit converters in ECG devices: their mark for "no sample", and beyond any ECG in mV or uV.
_SENTINELS = (32767.0, -32768.0)

# MDC_EVT_INOP holds the mark that stands for an invalid sample; small values there are flags of the event itself.
_SMALLEST_MARK = 1000.0

_ROUNDING = 1e-9  # converting a sample into the range's unit must not push it over a limit that it equals


@dataclass(frozen=True, slots=True)
class Lead:
    """One lead as read. values: mV, NaN where invalid. invalid: how many of them were marked so."""

    name: str
    values: NDArray[np.float32]
    sampling_rate: float
    source: Obx

    @property
    def invalid(self) -> int:
        """How many samples are marked invalid."""
        return int(np.count_nonzero(np.isnan(self.values)))


def lead_name(obx: Obx, separators: Separators) -> str | None:
    """The ECG lead that an OBX is the waveform of; None when it is something else (another signal, a measurement)."""
    if obx.value_type != "NA" or obx.withdrawn:
        return None
    parts = [part.strip() or None for part in obx.identifier.split(separators.component)]
    parts += [None] * (5 - len(parts))
    return lead_of(parts[0], parts[1]) or lead_of(parts[3], parts[4])


def leads_of(group: OrderGroup, separators: Separators) -> list[Lead]:
    """The leads in one OBR group.

    Raises UnitMissing, UnitUnsupported, SamplingRateInvalid, SignalMalformed naming the field.
    """
    waveforms = [(name, obx) for obx in group.observations if (name := lead_name(obx, separators))]
    table = FacetTable(facets_of(group.observations, separators), [obx.sub_id for _, obx in waveforms])
    return [_read(name, obx, table, separators) for name, obx in waveforms]


def one_rate(leads: list[Lead]) -> float:
    """The sampling rate that all leads share. Raises SamplingRateInvalid."""
    for lead in leads:
        if lead.sampling_rate != leads[0].sampling_rate:
            raise SamplingRateInvalid(
                f"lead {lead.name} has {lead.sampling_rate:g} Hz, lead {leads[0].name} {leads[0].sampling_rate:g} Hz",
                element=lead.source.at(5),
            )
    return leads[0].sampling_rate


def by_name(leads: list[Lead]) -> dict[str, NDArray[np.float32]]:
    """The leads by name. Raises SignalMalformed when one comes twice: two ECGs in one message cannot be told apart."""
    found: dict[str, NDArray[np.float32]] = {}
    for lead in leads:
        if lead.name in found:
            raise SignalMalformed(
                f"lead {lead.name} comes twice; send each ECG in a message of its own", element=lead.source.at(3)
            )
        found[lead.name] = lead.values
    return found


def _read(name: str, obx: Obx, table: FacetTable, separators: Separators) -> Lead:
    if separators.repetition.encode() in obx.value:
        raise SignalMalformed("a waveform of several repetitions is not supported", element=obx.at(5))
    rate = sampling_rate(table.find(SAMPLING_RATE, obx.sub_id), obx, separators)
    factor = _factor(obx, table.find(RESOLUTION, obx.sub_id), separators)
    raw = read_array(obx.value, separators.component, obx.at(5))
    values = (raw * factor).astype(np.float32)
    if (invalid := _invalid(raw, obx, table, separators, factor)) is not None:
        values[invalid] = np.nan
    return Lead(name, values, rate, obx)


def _factor(obx: Obx, resolution: Obx | None, separators: Separators) -> float:
    """mV for each unit of OBX-5: by OBX-6, or for counts by the resolution facet."""
    names = names_in(obx.unit, separators)
    if names and not any(name.casefold() in _DIMENSIONLESS for name in names):
        return _millivolt(obx, separators)
    if resolution is None:
        raise UnitMissing("the waveform has neither a unit nor a resolution in volts", element=obx.at(6))
    return number_in(resolution) * _millivolt(resolution, separators)


def _millivolt(obx: Obx, separators: Separators) -> float:
    """mV for each unit that OBX-6 names, in any of its parts."""
    names = names_in(obx.unit, separators)
    for name in names:
        try:
            return to_millivolt(name)
        except UnitUnsupported:
            continue
    if not names:
        raise UnitMissing("the amplitude has no unit", element=obx.at(6))
    raise UnitUnsupported(f"{' / '.join(names)[:60]} is no voltage", element=obx.at(6))


def _invalid(
    raw: NDArray[np.float64], obx: Obx, table: FacetTable, separators: Separators, factor: float
) -> NDArray[np.bool_] | None:
    """Which samples do not count; None where the extremes show already that all do."""
    extremes = np.array([raw.min(), raw.max()])
    marks = [mark for mark in _marks(obx, table) if extremes[0] <= mark <= extremes[1]]
    outside = _outside(obx, table, separators, factor)
    return outside(raw) | np.isin(raw, marks) if marks or outside(extremes).any() else None


def _marks(obx: Obx, table: FacetTable) -> tuple[float, ...]:
    """Values that stand for an invalid sample."""
    mark = table.find(INVALID, obx.sub_id)
    value = 0.0 if mark is None else number_in(mark)
    return (*_SENTINELS, value) if abs(value) >= _SMALLEST_MARK else _SENTINELS


def _outside(
    obx: Obx, table: FacetTable, separators: Separators, factor: float
) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    """Which samples lie outside of the data range, where there is one."""
    data_range = table.find(DATA_RANGE, obx.sub_id)
    if data_range is None:
        return partial(_are_outside, scale=1.0, low=-np.inf, high=np.inf)
    low, high = limits(data_range, separators)
    return partial(_are_outside, scale=_range_scale(data_range, separators, factor), low=low, high=high)


def _are_outside(raw: NDArray[np.float64], *, scale: float, low: float, high: float) -> NDArray[np.bool_]:
    scaled = raw * scale
    slack = _ROUNDING * np.abs(scaled)
    found: NDArray[np.bool_] = (scaled < low - slack) | (scaled > high + slack)
    return found


def _range_scale(data_range: Obx, separators: Separators, factor: float) -> float:
    """What turns a sample into the unit of the data range: its own voltage, or the unit of the samples."""
    try:
        return factor / _millivolt(data_range, separators)
    except (UnitMissing, UnitUnsupported):
        return 1.0
