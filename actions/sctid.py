"""SNOMED CT identifiers (SNOMED CT Release File Specifications, "SCTID"): 6 to 18 digits, the last a Verhoeff check
digit, the two before it the partition: 00 and 10 are concepts. A mistyped code is found without a terminology server;
whether its display is right is not, so a rules file says where that was looked up."""

MIN_DIGITS = 6
MAX_DIGITS = 18
CONCEPT_PARTITIONS = ("00", "10")

# Verhoeff (1969): the position permutation applied again for each place, in the dihedral group of order ten.
PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def _combine(a: int, b: int) -> int:
    """The product in the dihedral group D5; 0 to 4 are rotations, 5 to 9 reflections."""
    sign = -1 if a >= 5 else 1
    reflected = 5 if (a >= 5) != (b >= 5) else 0
    return (a + sign * b) % 5 + reflected


def is_concept_id(code: str) -> bool:
    """Whether `code` is formed as the identifier of a SNOMED CT concept, check digit included."""
    if not (code.isascii() and code.isdigit() and MIN_DIGITS <= len(code) <= MAX_DIGITS):
        return False
    if code.startswith("0") or code[-3:-1] not in CONCEPT_PARTITIONS:
        return False
    check = 0
    for place, digit in enumerate(map(int, reversed(code))):
        for _ in range(place % 8):
            digit = PERMUTATION[digit]
        check = _combine(check, digit)
    return check == 0
