"""Facets of a waveform: sampling rate, resolution, data range and invalid-sample mark, as OBX segments of their own.

Devices send them beside each lead, tied by OBX-4: the lead has `1.1.1.1001`, its facets `1.1.1.1001.1`, `.2` and so on
(containment as in IHE PCD-01); or once in the OBR group for all leads. Their numeric codes differ between makers
(0, 2327, 67981, 68320 for the same attribute), so the attribute's name decides, and the unit says what a value is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from inference.errors import SamplingRateInvalid, SignalMalformed
from interop.hl7.fields import Separators
from interop.hl7.message import Obx

SAMPLING_RATE = "MDC_ATTR_SAMP_RATE"
RESOLUTION = "MDC_ATTR_NU_MSMT_RES"
DATA_RANGE = "MDC_ATTR_DATA_RANGE"
INVALID = "MDC_EVT_INOP"
NAMES = frozenset({SAMPLING_RATE, RESOLUTION, DATA_RANGE, INVALID})

# How a sampling rate's unit turns into Hz: (factor, is a period). A rate without a unit is in Hz by its definition.
_RATE_UNITS: Mapping[str, tuple[float, bool]] = MappingProxyType(
    {
        "": (1.0, False),
        **dict.fromkeys(("mdc_dim_per_sec", "264608", "mdc_dim_hz", "264640", "hz", "/s", "1/s"), (1.0, False)),
        **dict.fromkeys(("mdc_dim_kilo_hz", "khz"), (1000.0, False)),
        **dict.fromkeys(("mdc_dim_sec", "264320", "s", "sec"), (1.0, True)),
        **dict.fromkeys(("mdc_dim_milli_sec", "264338", "ms", "msec"), (1e-3, True)),
    }
)


@dataclass(frozen=True, slots=True)
class Facet:
    """One attribute of a waveform, or of all waveforms of its OBR group. parent: the sub-id that it belongs to."""

    name: str
    source: Obx
    parent: str


def names_in(identifier: str, separators: Separators) -> tuple[str, ...]:
    """The parts of a coded field (CE, CWE) that can name it: codes and texts, both the first and the alternate."""
    parts = [part.strip() for part in identifier.split(separators.component)]
    return tuple(part for index, part in enumerate(parts) if index in (0, 1, 3, 4) and part)


def facets_of(observations: Iterable[Obx], separators: Separators) -> tuple[Facet, ...]:
    """The facets among the observations of one OBR group."""
    found = []
    for obx in observations:
        name = next((part for part in names_in(obx.identifier, separators) if part.upper() in NAMES), None)
        if name is not None and obx.value_type != "NA" and not obx.withdrawn:
            found.append(Facet(name.upper(), obx, obx.sub_id.rpartition(".")[0]))
    return tuple(found)


class FacetTable:
    """The facets of one OBR group, found for a lead by its OBX-4. leads: the sub-ids of all leads of the group."""

    def __init__(self, facets: tuple[Facet, ...], leads: Iterable[str]) -> None:
        self._facets = facets
        self._leads = frozenset(lead for lead in leads if lead)

    def find(self, name: str, sub_id: str) -> Obx | None:
        """The facet of that name tied to the lead `sub_id`, else the one that is tied to no lead at all."""
        named = [facet for facet in self._facets if facet.name == name]
        own = [facet for facet in named if sub_id and sub_id in (facet.parent, facet.source.sub_id)]
        common = [facet for facet in named if not self._leads & {facet.parent, facet.source.sub_id}]
        chosen = own or common
        if len({facet.source.value for facet in chosen}) > 1:
            where = ", ".join(facet.source.at(5) for facet in chosen)
            raise SignalMalformed(f"{name} has different values in {where}", element=chosen[1].source.at(5))
        return chosen[0].source if chosen else None


def number_in(obx: Obx, text: bytes | None = None) -> float:
    """The one number of a facet. Raises SignalMalformed."""
    try:
        value = float((obx.value if text is None else text).decode("ascii"))
    except ValueError as error:
        raise SignalMalformed("not a number", element=obx.at(5)) from error
    if not abs(value) < float("inf"):
        raise SignalMalformed("not a finite number", element=obx.at(5))
    return value


def sampling_rate(facet: Obx | None, lead: Obx, separators: Separators) -> float:
    """Hz. Raises SamplingRateInvalid when there is none, or in a unit that is neither a rate nor a period."""
    if facet is None:
        raise SamplingRateInvalid(f"no {SAMPLING_RATE} for the waveform in {lead.at(5)}", element=lead.at(4))
    names = [name.casefold() for name in names_in(facet.unit, separators)] or [""]
    unit = next((_RATE_UNITS[name] for name in names if name in _RATE_UNITS), None)
    if unit is None:
        raise SamplingRateInvalid("the sampling rate's unit is neither a rate nor a period", element=facet.at(6))
    factor, is_period = unit
    value = number_in(facet) * factor
    if value <= 0:
        raise SamplingRateInvalid("the sampling rate is not above zero", element=facet.at(5))
    return 1 / value if is_period else value


def limits(facet: Obx, separators: Separators) -> tuple[float, float]:
    """Lowest and highest valid value of a data type NR facet; an empty side is open."""
    low, _, high = facet.value.partition(separators.component.encode())
    return (
        number_in(facet, low) if low.strip() else float("-inf"),
        number_in(facet, high) if high.strip() else float("inf"),
    )
