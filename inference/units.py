"""Units of voltage and their factor to millivolts.

An amplitude without a unit is refused, never guessed: 1.2 may be 1.2 mV or 1.2 counts of a converter. Sources: UCUM
(mV, uV, V, nV), ISO/IEEE 11073-10101 (MDC_DIM_VOLT is 4256 in partition 4, so 4 x 65,536 + 4,256; a decimal prefix
adds to it: 18 milli, 19 micro, 20 nano), and the spellings that file headers use.
"""

from inference.errors import UnitMissing, UnitUnsupported

_MILLIVOLTS_PER: dict[float, tuple[str, ...]] = {
    1e3: ("V", "volt", "volts", "MDC_DIM_VOLT", "266400"),
    1.0: ("mV", "millivolt", "millivolts", "MDC_DIM_MILLI_VOLT", "266418"),
    # The micro sign is U+00B5 on keyboards and U+03BC in Greek; both are seen.
    1e-3: ("uV", "\u00b5V", "\u03bcV", "microvolt", "microvolts", "MDC_DIM_MICRO_VOLT", "266419"),
    1e-6: ("nV", "nanovolt", "nanovolts", "MDC_DIM_NANO_VOLT", "266420"),
}

# Case is ignored: HL7 v2 senders write MV and UV (ISO+ units have no case), and no ECG is measured in megavolts.
_FACTORS = {name.casefold(): factor for factor, names in _MILLIVOLTS_PER.items() for name in names}


def to_millivolt(unit: str | None) -> float:
    """The factor that turns values in `unit` into mV. unit: a UCUM code, an MDC code or name, or a header's spelling.

    Raises UnitMissing for None or blank, UnitUnsupported for what is no voltage we know.
    """
    if unit is None or not unit.strip():
        raise UnitMissing("the amplitude has no unit; expected mV, uV, V or nV")
    factor = _FACTORS.get(unit.strip().casefold())
    if factor is None:
        raise UnitUnsupported(f"unit {unit.strip()[:40]!r} is no voltage that is known here; expected mV, uV, V or nV")
    return factor
