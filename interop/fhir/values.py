"""The values of search parameters as criteria of the store (FHIR R4 search.html sections 3.1.1.4.5 to 3.1.1.4.13)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Context, Decimal

from audit.criteria import BY_IDENTIFIER, ID, LAST_UPDATED, AnyCriterion, Criterion, Interval, Missing, Within
from audit.times import microseconds
from inference.errors import SearchInvalid
from interop.resources.index import MAX_STRING, folded
from interop.resources.search_parameters import Kind, SearchParameter
from interop.resources.times import span

# What `ap` adds on each side: a tenth of the value, or of the time between it and now (as the specification proposes).
APPROXIMATELY = Decimal("0.1")

_LETTER = re.compile(r"\\.|.", re.DOTALL)
_ESCAPED = re.compile(r"\\([,|$\\])")
_PREFIXED = re.compile(r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb|ap)?(?P<value>.*)", re.DOTALL)
# A time without a zone is one of UTC, as a day is.
_WITHOUT_ZONE = re.compile(r"[0-9-]{10}T[0-9:.]+")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
# Of a number longer than this no double tells the difference; one with a greater exponent is none.
MAX_DIGITS = 40
MAX_EXPONENT = 300
# Bounds are made in decimal: 5.4 - 0.05 in binary is more than 5.35.
_EXACT = Context(prec=2 * MAX_DIGITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One parameter of a search. base: our own, `.../fhir`. now: in microseconds, for `ap`."""

    found: SearchParameter
    modifier: str
    value: str
    base: str
    now: float

    def refused(self, why: str) -> SearchInvalid:
        """The error that names the parameter."""
        return SearchInvalid(f"{self.found.name}: {why}", element=self.found.name)


def criterion(asked: Asked) -> AnyCriterion:
    """What a document must have. Raises SearchInvalid for a value or a modifier that cannot be used."""
    if asked.modifier == "missing":
        return _missing(asked)
    alternatives = [part for part in _pieces(asked.value, ",") if part]
    if not alternatives:
        raise asked.refused("there is no value")
    return _READERS[asked.found.kind](asked, alternatives)


def _missing(asked: Asked) -> Missing:
    if asked.value not in ("true", "false"):
        raise asked.refused("`:missing` is true or false")
    if asked.found.name in (ID, LAST_UPDATED):
        raise asked.refused("is never missing")
    return Missing(name=asked.found.row_name, missing=asked.value == "true", ranges=asked.found.kind.ranges)


def _tokens(asked: Asked, alternatives: list[str]) -> Criterion:
    """`system|code`, `|code` (no system), `code` (any system), `system|` (any code)."""
    _only(asked, "", "not")
    found = tuple(_token(asked, part) for part in alternatives)
    return Criterion(name=asked.found.row_name, alternatives=found, negated=asked.modifier == "not")


def _token(asked: Asked, part: str) -> tuple[str | None, str]:
    system, pipe, value = at_pipe(part)
    if not (system or value):
        raise asked.refused("needs a value beside the |")
    return system if pipe else None, value


def _references(asked: Asked, alternatives: list[str]) -> Criterion:
    """`id`, `Type/id` or a URL; by `:identifier` the token of a reference without a target."""
    if asked.modifier == "identifier":
        tokens = tuple(_token(asked, part) for part in alternatives)
        return Criterion(name=f"{asked.found.row_name}{BY_IDENTIFIER}", alternatives=tokens)
    if asked.modifier and (not asked.modifier[0].isupper() or _is_no_target(asked)):
        _only(asked, "", "identifier", *asked.found.targets)
    found = [(None, form) for part in alternatives for form in _targets(asked, _unescaped(part))]
    return Criterion(name=asked.found.row_name, alternatives=tuple(dict.fromkeys(found)))


def _is_no_target(asked: Asked) -> bool:
    return bool(asked.found.targets) and asked.modifier not in asked.found.targets


def _targets(asked: Asked, value: str) -> list[str]:
    ours = value.removeprefix(f"{asked.base}/").partition("/_history/")[0]
    types = [asked.modifier] if asked.modifier else asked.found.targets
    if ":" in ours:
        return [ours, value]
    if "/" in ours:  # of another type than it may lead to: nothing is found
        return [ours, value] if not types or ours.partition("/")[0] in types else []
    if not types:
        raise asked.refused("may refer to any type: write Type/id")
    return [f"{type_}/{ours}" for type_ in types]


def _strings(asked: Asked, alternatives: list[str]) -> Criterion:
    """What a text begins with, without case and accents; with `:exact` the text itself."""
    _only(asked, "", "exact")
    exact = asked.modifier == "exact"
    texts = [_unescaped(part) for part in alternatives]
    found = tuple((text[:MAX_STRING] if exact else None, folded(text)) for text in texts)
    if not all(text for _, text in found):
        raise asked.refused("there is no text to look for")
    return Criterion(name=asked.found.row_name, alternatives=found, starts=not exact)


def _dates(asked: Asked, alternatives: list[str]) -> Within:
    _only(asked, "")
    found = tuple(each for part in alternatives for each in _date(asked, part))
    # Each date that is served is there once.
    return Within(name=asked.found.row_name, alternatives=found, span=Kind.DATE.span, single=True)


def _date(asked: Asked, part: str) -> tuple[Interval, ...]:
    prefix, text = _split(part)
    try:
        begin, end = span(f"{text}Z" if _WITHOUT_ZONE.fullmatch(text) else text)
    except ValueError:
        raise asked.refused(
            f"{text[:40]!r} is no date: YYYY, YYYY-MM, YYYY-MM-DD or with a time and its offset, whose + is %2B"
        ) from None
    low, high = microseconds(begin), microseconds(end)
    if prefix == "ap":
        reach = float(APPROXIMATELY) * abs(asked.now - low)
        return (Interval(before=high + reach, after=low - reach),)
    found = tuple(_interval(bounds) for bounds in _RANGES[prefix](low, high))
    return tuple(_of_instant(each) for each in found) if asked.found.name == LAST_UPDATED else found


def _of_instant(interval: Interval) -> Interval:
    """The same for a microsecond: it ends after a time when it does not begin before that."""
    from_ = interval.from_ if interval.after is None else interval.after
    before = interval.before if interval.to is None else interval.to
    return Interval(from_=from_, before=before)


def _quantities(asked: Asked, alternatives: list[str]) -> Within:
    """`[prefix]number`, `...|system|code` or `...||code`."""
    _only(asked, "")
    return Within(
        name=asked.found.row_name, alternatives=tuple(each for part in alternatives for each in _quantity(asked, part))
    )


def _quantity(asked: Asked, part: str) -> tuple[Interval, ...]:
    number, *unit = (_unescaped(piece) for piece in _pieces(part, "|"))
    if len(unit) not in (0, 2):
        raise asked.refused("is number, number|system|code or number||code")
    prefix, text = _split(number)
    value = _number(asked, text)
    system, code = unit if unit else ("", "")
    ranges = _ROUNDED[prefix](*_around(value, prefix)) if prefix in _ROUNDED else _EXACTLY[prefix](float(value))
    return tuple(replace(_interval(each), code=code or None, system=system or None) for each in ranges)


def _number(asked: Asked, text: str) -> Decimal:
    if len(text) > MAX_DIGITS or not _NUMBER.fullmatch(text) or abs(Decimal(text).adjusted()) > MAX_EXPONENT:
        raise asked.refused(f"{text[:40]!r} is no number")
    return Decimal(text)


def _around(value: Decimal, prefix: str) -> tuple[float, float]:
    """What a number stands for, by half of its last digit: 5.4 is all from 5.35 to 5.45. About it: a tenth at least."""
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    reach = Decimal(5).scaleb(exponent - 1)
    if prefix == "ap":
        reach = max(reach, _EXACT.multiply(APPROXIMATELY, abs(value)))
    return float(_EXACT.subtract(value, reach)), float(_EXACT.add(value, reach))


Bounds = dict[str, float]

# Prefix -> what must hold of a range [low, high) of time for the time [l, h) that is asked for.
_RANGES: Mapping[str, Callable[[float, float], tuple[Bounds, ...]]] = {
    "eq": lambda low, high: ({"from_": low, "to": high},),
    "ne": lambda low, high: ({"before": low}, {"after": high}),
    "gt": lambda low, high: ({"after": high},),
    "lt": lambda low, high: ({"before": low},),
    "ge": lambda low, high: ({"after": high}, {"from_": low, "to": high}),
    "le": lambda low, high: ({"before": low}, {"from_": low, "to": high}),
    "sa": lambda low, high: ({"from_": high},),
    "eb": lambda low, high: ({"to": low},),
}

# The same for a number that is what it is, or anything above or below it.
_EXACTLY: Mapping[str, Callable[[float], tuple[Bounds, ...]]] = {
    "gt": lambda value: ({"after": value},),
    "lt": lambda value: ({"before": value},),
    "ge": lambda value: ({"after": value}, {"from_": value}),
    "le": lambda value: ({"before": value}, {"to": value}),
    "sa": lambda value: ({"after": value, "from_": value},),
    "eb": lambda value: ({"before": value, "to": value},),
}

# And for those that compare with the precision of what was asked: [low, high).
_ROUNDED: Mapping[str, Callable[[float, float], tuple[Bounds, ...]]] = {
    "eq": lambda low, high: ({"from_": low, "before": high, "to": high},),
    "ne": lambda low, high: ({"before": low}, {"from_": high}, {"after": high}),
    "ap": lambda low, high: ({"before": high, "after": low},),
}

_READERS: Mapping[Kind, Callable[[Asked, list[str]], AnyCriterion]] = {
    Kind.TOKEN: _tokens,
    Kind.REFERENCE: _references,
    Kind.STRING: _strings,
    Kind.DATE: _dates,
    Kind.QUANTITY: _quantities,
}


def _interval(bounds: Bounds) -> Interval:
    return Interval(
        from_=bounds.get("from_"), before=bounds.get("before"), after=bounds.get("after"), to=bounds.get("to")
    )


def _only(asked: Asked, *modifiers: str) -> None:
    if asked.modifier not in modifiers:
        known = ", ".join(f":{one}" for one in (*modifiers, "missing") if one)
        raise asked.refused(f"modifier :{asked.modifier[:40]} is not supported; {known} are")


def _split(text: str) -> tuple[str, str]:
    match = _PREFIXED.fullmatch(text)
    assert match is not None  # anything matches
    return match["prefix"] or "eq", match["value"]


def at_pipe(text: str) -> tuple[str, bool, str]:
    """What stands before and after the first |, and whether there is one."""
    first, *rest = _pieces(text, "|")
    return (_unescaped(first), True, _unescaped("|".join(rest))) if rest else ("", False, _unescaped(text))


def _pieces(text: str, separator: str) -> list[str]:
    """What stands between separators that no backslash precedes, still escaped."""
    found = [""]
    for letter in _LETTER.findall(text):
        if letter == separator:
            found.append("")
        else:
            found[-1] += letter
    return found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
