"""How the codes of a terminology are formed, so that a mistyped one is found without a terminology server. Whether its
display is right is not found, so a rules file says where that was looked up."""

import re
from collections.abc import Callable, Mapping

from actions.sctid import is_concept_id
from inference.labels import SNOMED_CT

# FHIR R4, "Using Codes in resources": the names of the terminologies.
ATC = "http://www.whocc.no/atc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
LOINC = "http://loinc.org"

ATC_SUBSTANCE = re.compile(r"[A-Z][0-9]{2}[A-Z]{2}[0-9]{2}")
RXCUI = re.compile(r"[1-9][0-9]{0,7}")
LOINC_CODE = re.compile(r"[1-9][0-9]{0,6}-[0-9]")


def is_atc_substance(code: str) -> bool:
    """Whether `code` is formed as an ATC code of the fifth level, a chemical substance: `C07AA07`."""
    return ATC_SUBSTANCE.fullmatch(code) is not None


def is_rxcui(code: str) -> bool:
    """Whether `code` is formed as an RxNorm concept identifier: a number of up to eight digits."""
    return RXCUI.fullmatch(code) is not None


def is_loinc(code: str) -> bool:
    """Whether `code` is formed as a LOINC code, check digit (modulus 10, LOINC Users' Guide) included."""
    if LOINC_CODE.fullmatch(code) is None:
        return False
    digits = [int(digit) for digit in code.replace("-", "")]
    # From the right every second digit counts twice; of a result with two digits their sum.
    counted = (digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits[::-1]))
    return sum(counted) % 10 == 0


# What a well-formed code of each terminology is called, and how it is recognised.
CODE_FORMS: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    SNOMED_CT: ("SNOMED CT concept identifier (check digit or partition)", is_concept_id),
    ATC: ("ATC code of a substance (seven characters)", is_atc_substance),
    RXNORM: ("RxNorm concept identifier (a number)", is_rxcui),
    LOINC: ("LOINC code (check digit)", is_loinc),
}
