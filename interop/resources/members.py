"""JSON that keeps the text of its numbers.

A FHIR decimal's precision is part of its value (FHIR R4 section 2.6.0.2: 1.50 is not 1.5), and a parser that makes
floats loses it. So values are either cut out as text and never read, or read with every number left as it was written.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NoReturn

import orjson

_SPACE = " \t\r\n"
# Exact, and an exponent that is absurd gives infinity or zero instead of an error.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
# Only to find where a value ends: as text, numbers cost nothing to convert and may have any length.
_SCANNER = json.JSONDecoder(parse_float=str, parse_int=str)


class Verbatim:
    """A piece of JSON that is written as it was read. Two numbers are equal when their values are: 1.50 and 1.5."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verbatim) and _number(self.text) == _number(other.text)

    def __hash__(self) -> int:
        return hash(_number(self.text))

    def __deepcopy__(self, memo: object) -> "Verbatim":
        return self

    def __repr__(self) -> str:
        return f"Verbatim({self.text!r})"


def parsed(text: str | bytes) -> Any:
    """JSON as Python has it, with a Verbatim for every number. Raises ValueError, and RecursionError where arrays and
    objects are nested some hundred deep."""
    return json.loads(text, parse_float=Verbatim, parse_int=Verbatim, parse_constant=_no_number)


def written(value: Any, *, indent: bool = False) -> bytes:
    """The JSON of a value that may have Verbatim inside, in one line or indented by two."""
    return orjson.dumps(value, default=_fragment, option=orjson.OPT_INDENT_2 if indent else None)


def members(text: str) -> dict[str, str]:
    """The members of a JSON object, values as they were written; the last of a repeated name counts, as it does for
    the parser. text: valid JSON."""
    found = {}
    position = _after_space(text, text.index("{") + 1)
    while text[position] != "}":
        name, position = scanstring(text, position + 1, True)
        start = _after_space(text, text.index(":", position) + 1)
        _, end = _SCANNER.raw_decode(text, start)
        found[name] = text[start:end]
        position = _after_comma(text, end)
    return found


def items(text: str) -> Iterator[str]:
    """The items of a JSON array as they were written. text: valid JSON."""
    position = _after_space(text, text.index("[") + 1)
    while text[position] != "]":
        _, end = _SCANNER.raw_decode(text, position)
        yield text[position:end]
        position = _after_comma(text, end)


def joined(members: Mapping[str, str]) -> str:
    """The JSON object that has these members."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members.items()) + "}"


def _after_comma(text: str, position: int) -> int:
    position = _after_space(text, position)
    return _after_space(text, position + 1) if text[position] == "," else position


def _after_space(text: str, position: int) -> int:
    while text[position] in _SPACE:
        position += 1
    return position


def _number(text: str) -> Decimal:
    return _EXACT.create_decimal(text)


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, Verbatim):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")
