"""Names of the twelve leads in codes and texts.

ISO/IEEE 11073-10101 (MDC) has two families for them, both in partition 2 and 256 apart: `MDC_ECG_LEAD_x` (the lead)
and `MDC_ECG_ELEC_POTL_x` (its potential). Displays are not trusted where a code speaks: published examples call
131389 and 131392 aVR.
"""

import re

from inference.recording import LEADS

# Offset within a family. Numbers between and after these are other leads (V7, V3R, X, Y, Z, ES ...).
_OFFSETS = {
    "I": 1,
    "II": 2,
    "V1": 3,
    "V2": 4,
    "V3": 5,
    "V4": 6,
    "V5": 7,
    "V6": 8,
    "III": 61,
    "aVR": 62,
    "aVL": 63,
    "aVF": 64,
}
_LEAD_FAMILY = 131_072  # MDC_ECG_LEAD_x
_POTENTIAL_FAMILY = 131_328  # MDC_ECG_ELEC_POTL_x; itself the code of a whole ECG
_FAMILY_SIZE = 256

LEAD_CODES: dict[str, str] = {
    str(family + offset): lead for family in (_LEAD_FAMILY, _POTENTIAL_FAMILY) for lead, offset in _OFFSETS.items()
}

# Spanish and Portuguese devices write the bipolar limb leads as "derivación" I to III.
_LEAD_TEXTS = {lead.casefold(): lead for lead in LEADS} | {"di": "I", "dii": "II", "diii": "III"}

_MDC_NAME = re.compile(r"mdc_ecg_(?:lead|elec_potl)_(?P<lead>.*)", re.IGNORECASE)
_PREFIX = re.compile(r"^lead[\s:_-]*", re.IGNORECASE)


def mdc_code(lead: str) -> str:
    """The `MDC_ECG_ELEC_POTL_x` code of a lead, as it goes out in SampledData components and OBX-3."""
    return str(_POTENTIAL_FAMILY + _OFFSETS[lead])


def lead_of(code: str | None, text: str | None = None) -> str | None:
    """The name in `LEADS` that a code or else a text stands for; None when it is no lead of the twelve.

    code: an MDC number or reference id of either family, or a plain lead name. text: a display or label such as
    `aVR`, `AVR`, `Lead I`, `DII`. A code of the MDC ECG families decides alone, whatever the text says; a code that
    is not of them (a local one) leaves it to the text.
    """
    if code is not None:
        code = code.strip()
        if _is_mdc(code):
            return LEAD_CODES.get(code) or _named(code)
        if lead := _named(code):
            return lead
    return _named(text.strip()) if text is not None else None


def _is_mdc(code: str) -> bool:
    if code.isdecimal() and code.isascii():
        return _LEAD_FAMILY <= int(code[:9]) < _POTENTIAL_FAMILY + _FAMILY_SIZE
    return _MDC_NAME.fullmatch(code) is not None


def _named(text: str) -> str | None:
    name = _MDC_NAME.fullmatch(text)
    label = name["lead"] if name else _PREFIX.sub("", text)
    return _LEAD_TEXTS.get(label.casefold())
