"""Text in fields: separators, escape sequences, character sets (HL7 v2.5.1 chapter 2, sections 2.5.4, 2.7, 2.15.9.18).

python-hl7 splits the fields. Its `unescape` is not used: it raises on unknown sequences, and its log quotes the field,
which may be a patient's name.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from hl7 import Segment

# MSH-18, HL7 table 0211, as Python codecs. Wide Unicode encodings cannot travel in MLLP: they hold 0x0B and 0x1C.
CHARACTER_SETS: dict[str, str] = {
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UNICODE": "utf-8",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    **{f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
}

NULL = '""'  # HL7's explicit "delete the value": for reading it means absent
LONGEST_MSH_2 = 5
_CONTROL = frozenset({"Cc", "Cs"})  # control characters, and halves of surrogate pairs, which no encoding can write


@dataclass(frozen=True, slots=True)
class Separators:
    """The delimiters of one message. field is MSH-1; the others are MSH-2 in this order."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def msh_2(self) -> str:
        """MSH-2 for an outgoing message."""
        return self.component + self.repetition + self.escape + self.subcomponent


def separators_of(msh: str) -> Separators | None:
    """Read MSH-1 and MSH-2; what is left out has its usual character. None when they cannot be delimiters at all."""
    return _separators_of(msh[3 : 5 + LONGEST_MSH_2])


@lru_cache(maxsize=64)  # hardly any sender has delimiters of its own, but each may
def _separators_of(head: str) -> Separators | None:
    usual = Separators()
    field = head[:1]
    encoding, closed, _ = head[1:].partition(field) if field else ("", "", "")
    if not closed or not 1 <= len(encoding) <= LONGEST_MSH_2:
        return None
    found = Separators(field, *(encoding[:4] + usual.msh_2[len(encoding) :]))
    marks = [found.field, *found.msh_2]
    unusable = any(mark.isalnum() or mark.isspace() or not mark.isprintable() or mark == '"' for mark in marks)
    return None if unusable or len(set(marks)) != len(marks) else found


_PLAIN_ESCAPES = {".br": "\n", ".sp": "\n", ".ce": "\n", ".sk": " ", ".in": "", ".ti": "", ".fi": "", ".nf": ""}
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")


def unescape(text: str, separators: Separators, encoding: str = "utf-8") -> str:
    """Resolve escape sequences. Highlighting and unknown sequences vanish; broken ones stay as they are."""
    mark = separators.escape
    if mark not in text:
        return text
    marks = {
        "F": separators.field,
        "S": separators.component,
        "R": separators.repetition,
        "E": mark,
        "T": separators.subcomponent,
    }

    def resolve(match: re.Match[str]) -> str:
        sequence = match[1]
        if hexadecimal := _HEX.fullmatch(sequence):
            return bytes.fromhex(hexadecimal[1]).decode(encoding, "replace")
        return marks.get(sequence) or _PLAIN_ESCAPES.get(sequence[:3], "")

    quoted = re.escape(mark)
    return re.sub(f"{quoted}([^{quoted}]{{1,64}}){quoted}", resolve, text)


def escape(text: str, separators: Separators) -> str:
    """Make text safe inside of a field: delimiters and line ends escaped, other control characters dropped."""
    if not text:
        return ""
    table = {
        separators.escape: "E",
        separators.field: "F",
        separators.component: "S",
        separators.repetition: "R",
        separators.subcomponent: "T",
        "\n": ".br",
    }
    mark = separators.escape
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "\n".join(without_control(line) for line in text.split("\n"))
    return kept.translate({ord(character): f"{mark}{code}{mark}" for character, code in table.items()})


def without_control(text: str) -> str:
    """Received text that may be sent back as it is: 0x0B or 0x1C in it would break the framing of our answer."""
    if text.isprintable():  # most texts, and asking for each character takes long
        return text
    return "".join(character for character in text if not _is_control(character))


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _CONTROL


def raw(segment: Segment | None, field: int) -> str:
    """One field as received, escape sequences and all; empty when absent."""
    return str(segment[field]) if segment is not None and field < len(segment) else ""


def component(repetition: str, separators: Separators, number: int, subcomponent: int = 1) -> str:
    """One (sub)component, counted from 1, of a repetition's text; empty when absent or null. Escapes stay."""
    if not repetition:
        return ""
    parts = repetition.split(separators.component)
    whole = parts[number - 1] if number <= len(parts) else ""
    pieces = whole.split(separators.subcomponent)
    found = pieces[subcomponent - 1].strip() if subcomponent <= len(pieces) else ""
    return "" if found == NULL else found
