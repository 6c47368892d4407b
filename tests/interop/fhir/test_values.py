"""Values of parameters against a plain reading of FHIR R4 search.html on intervals and points."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.criteria import AnyCriterion, Criterion, Interval, Missing, RangeRow, Within
from audit.times import at_microseconds, microseconds
from inference.errors import SearchInvalid
from interop.fhir.parameters import parameter
from interop.fhir.values import Asked, criterion
from interop.resources.index import MAX_STRING, index_rows

BASE = "http://ecg.example/fhir"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


def asked(name: str, value: str, type: str = "Observation") -> AnyCriterion:
    plain, _, modifier = name.partition(":")
    found = parameter(type, plain)
    assert found is not None
    return criterion(Asked(found=found, modifier=modifier, value=value, base=BASE, now=microseconds(NOW)))


def alternatives(name: str, value: str, type: str = "Observation") -> list[tuple[str | None, str]]:
    found = asked(name, value, type)
    assert isinstance(found, Criterion)
    return list(found.alternatives)


def holds(interval: Interval, row: RangeRow) -> bool:
    """As the store compares."""
    return (
        (interval.from_ is None or row.low >= interval.from_)
        and (interval.before is None or row.low < interval.before)
        and (interval.after is None or row.high > interval.after)
        and (interval.to is None or row.high <= interval.to)
        and interval.code in (None, row.code or "")
        and interval.system in (None, row.system or "")
    )


def finds(name: str, value: str, **content: object) -> bool:
    """Whether an Observation with this content is found."""
    wanted = asked(name, value)
    assert isinstance(wanted, Within)
    rows = index_rows({"resourceType": "Observation", **content})
    ranges = [row for row in rows if isinstance(row, RangeRow) and row.name == wanted.name]
    return any(holds(interval, row) for interval in wanted.alternatives for row in ranges)


# Dates (section 3.1.1.4.7): a value is the time that it covers, and so is what it is compared with.

Span = tuple[datetime, datetime]
DAY = timedelta(days=1)


def written(begin: datetime, precision: str) -> tuple[str, Span]:
    """A dateTime that covers `begin`, and what it covers, worked out without the code under test."""
    match precision:
        case "year":
            return f"{begin:%Y}", (datetime(begin.year, 1, 1, tzinfo=UTC), datetime(begin.year + 1, 1, 1, tzinfo=UTC))
        case "month":
            first = datetime(begin.year, begin.month, 1, tzinfo=UTC)
            return f"{begin:%Y-%m}", (first, (first + 31 * DAY).replace(day=1))
        case "day":
            first = begin.replace(hour=0, minute=0, second=0, microsecond=0)
            return f"{begin:%Y-%m-%d}", (first, first + DAY)
        case "second":
            first = begin.replace(microsecond=0)
            return f"{first:%Y-%m-%dT%H:%M:%S}Z", (first, first + timedelta(seconds=1))
    first = begin.replace(microsecond=begin.microsecond // 1000 * 1000)
    return f"{first:%Y-%m-%dT%H:%M:%S.}{first.microsecond // 1000:03d}Z", (first, first + timedelta(milliseconds=1))


def by_definition(prefix: str, value: Span, target: Span) -> bool:
    """The table of prefixes (section 3.1.1.4.5), word by word. value: searched for; target: of the resource."""
    (low, high), (begin, end) = value, target
    contains = low <= begin and end <= high
    above, below = end > high, begin < low
    reach = abs(NOW - low) / 10
    return {
        "eq": contains,
        "ne": not contains,
        "gt": above,
        "lt": below,
        "ge": above or contains,
        "le": below or contains,
        "sa": begin >= high,
        "eb": end <= low,
        "ap": begin < high + reach and end > low - reach,
    }[prefix]


# Few days and seconds, so that values meet.
times = st.builds(
    lambda day, second, micro: datetime(2025, 12, 30, tzinfo=UTC) + timedelta(day, second, micro),
    st.sampled_from([0, 1, 2, 3, 33, 400]),
    st.sampled_from([0, 1, 59, 86399]),
    st.sampled_from([0, 1000, 999_000]),
)
precisions = st.sampled_from(["year", "month", "day", "second", "millisecond"])


@given(times, precisions, times, precisions, st.sampled_from(PREFIXES))
def test_a_date_is_compared_as_the_specification_defines_the_prefixes(
    value: datetime, how: str, target: datetime, exactly: str, prefix: str
) -> None:
    text, span = written(value, how)
    stored, covered = written(target, exactly)
    assert finds("date", prefix + text, effectiveDateTime=stored) is by_definition(prefix, span, covered)


@given(times, precisions, times, times, st.sampled_from(PREFIXES))
def test_a_period_is_compared_from_its_start_to_its_end(
    value: datetime, how: str, one: datetime, other: datetime, prefix: str
) -> None:
    text, span = written(value, how)
    (start, (begin, _)), (end, (_, until)) = (written(each, "second") for each in sorted((one, other)))
    found = finds("date", prefix + text, effectivePeriod={"start": start, "end": end})
    assert found is by_definition(prefix, span, (begin, until))


@pytest.mark.parametrize(
    ("value", "found"),
    [("gt2100", True), ("2026", False), ("lt2026-03-02", False), ("ge2026-03-03", True), ("sa2026-03-01", True)],
)
def test_a_period_without_an_end_goes_on(value: str, found: bool) -> None:
    assert finds("date", value, effectivePeriod={"start": "2026-03-02"}) is found


@pytest.mark.parametrize(
    ("value", "found"), [("lt1900", True), ("le2026-03-02", True), ("eb2026-03-03", True), ("gt2026-03-02", False)]
)
def test_a_period_without_a_start_began_before_everything(value: str, found: bool) -> None:
    assert finds("date", value, effectivePeriod={"end": "2026-03-02"}) is found


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("2026-03-02T10:20:30+01:00", "2026-03-02T09:20:30Z"),
        ("2026-03-02T09:20:30", "2026-03-02T09:20:30Z"),
        ("2026-03-02T09:20", "2026-03-02T09:20:59.999Z"),
        ("2026-03-02T09:20Z", "2026-03-02T10:20:00+01:00"),
        ("2026-03-02T10:20-14:00", "2026-03-03T00:20:10Z"),
        ("2026-03-02", "2026-03-03T00:30:00+01:00"),
        ("2026-03-02T09:20:30.5Z", "2026-03-02T09:20:30.599Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("0001", "0001-05"),
        ("9999", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_date_is_found_in_every_zone_and_precision(value: str, stored: str) -> None:
    assert finds("date", value, effectiveDateTime=stored)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-03-02", False),
        ("gt2026-03-02", True),
        ("sa2026-03-02", True),
        ("le2026-03-02", False),
        ("2026-03-03", True),
    ],
)
def test_the_time_of_an_update_ends_a_microsecond_later(value: str, found: bool) -> None:
    wanted = asked("_lastUpdated", value)
    assert isinstance(wanted, Within)
    midnight = microseconds(datetime(2026, 3, 3, tzinfo=UTC))
    row = RangeRow(name="_lastUpdated", low=midnight, high=midnight)  # as the store compares it: of no length
    assert any(holds(interval, row) for interval in wanted.alternatives) is found


@given(times, precisions, times, st.sampled_from(PREFIXES))
def test_the_time_of_an_update_is_compared_like_a_date(value: datetime, how: str, at: datetime, prefix: str) -> None:
    text, span = written(value, how)
    wanted = asked("_lastUpdated", prefix + text)
    assert isinstance(wanted, Within)
    row = RangeRow(name="_lastUpdated", low=microseconds(at), high=microseconds(at))
    found = any(holds(interval, row) for interval in wanted.alternatives)
    assert found is by_definition(prefix, span, (at, at + timedelta(microseconds=1)))


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "2026-13",
        "2026-02-30",
        "26",
        "20260302",
        "2026-W10-1",
        "2026-03-02T10",
        "2026-03-02T10:20:00 01:00",
        "2026-03-02T10:61Z",
        "2026-03-02T10:60:60Z",
        "eq",
        "xx2026",
        "GE2026",
        "0000",
        "\u0662\u0660\u0662\u0666",
        "2026\n",
    ],
)
def test_what_is_no_date_is_refused(value: str) -> None:
    with pytest.raises(SearchInvalid, match="no date") as caught:
        asked("date", value)
    assert caught.value.element == "date"


# Quantities (section 3.1.1.4.11)


def matches(prefix: str, value: str, target: str) -> bool:
    """The table of prefixes for a number: eq, ne and ap by half of the last digit, the others exactly."""
    number, stored = Decimal(value), Decimal(target)
    half = Decimal(5).scaleb(int(number.as_tuple().exponent) - 1)
    equal = number - half <= stored < number + half
    reach = max(half, abs(number) / 10)
    return {
        "eq": equal,
        "ne": not equal,
        "gt": stored > number,
        "lt": stored < number,
        "ge": stored >= number,
        "le": stored <= number,
        "sa": stored > number,
        "eb": stored < number,
        "ap": number - reach < stored < number + reach,
    }[prefix]


decimals = st.decimals(min_value=-3, max_value=3, places=2).map(str) | st.sampled_from(
    ["100", "99.5", "99.4999", "100.5", "100.4999", "5.35", "5.45", "5.4", "5.40", "1e2", "0", "-5.4", "90.001", "110"]
)


@given(decimals, decimals, st.sampled_from(PREFIXES))
def test_a_quantity_is_compared_as_the_specification_defines_the_prefixes(value: str, target: str, prefix: str) -> None:
    content = {"value": float(target), "code": "mV"}
    assert finds("value-quantity", prefix + value, valueQuantity=content) is matches(prefix, value, target)


@given(st.integers(-10_000, 10_000), st.integers(0, 4))
def test_the_bounds_of_a_number_are_exact_however_binary_rounds(digits: int, places: int) -> None:
    value = Decimal(digits).scaleb(-places)
    half = Decimal(5).scaleb(-places - 1)
    for target, found in ((value - half, True), (value, True), (value + half, False)):
        assert finds("value-quantity", f"{value:f}", valueQuantity={"value": float(target)}) is found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("gt100", True),
        ("gt5000", True),
        ("lt100", False),
        ("ne100", True),
        ("100", False),
        ("sa99", True),
        ("ap95", True),
    ],
)
def test_a_quantity_that_is_only_bounded_may_be_all_beyond(value: str, found: bool) -> None:
    assert finds("value-quantity", value, valueQuantity={"value": 100, "comparator": ">"}) is found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("72", True),
        ("72|http://unitsofmeasure.org|/min", True),
        ("72||/min", True),
        ("72||beats per minute", True),
        ("72|http://unitsofmeasure.org|", True),
        ("72|http://unitsofmeasure.org|beats per minute", False),
        ("72|urn:other|/min", False),
        ("72||ms", False),
        ("gt71||/min,3||ms", True),
    ],
)
def test_a_unit_is_found_by_its_code_and_by_what_is_shown(value: str, found: bool) -> None:
    content = {"value": 72, "unit": "beats per minute", "code": "/min", "system": "http://unitsofmeasure.org"}
    assert finds("value-quantity", value, valueQuantity=content) is found


def test_a_unit_with_a_pipe_in_it_is_escaped() -> None:
    assert finds("value-quantity", r"1||a\|b", valueQuantity={"value": 1, "unit": "a|b"})


@pytest.mark.parametrize(
    "value",
    [
        "many",
        "",
        "ge",
        "1_0",
        "NaN",
        "Infinity",
        "1e999",
        "1" * 41,
        "5 mV",
        "5|mV",
        "5|a|b|c",
        "0x1",
        "\u0665",
        "1e5000",
    ],
)
def test_what_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(SearchInvalid):
        asked("value-quantity", value)


# Tokens (section 3.1.1.4.10)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("urn:h|4711", [("urn:h", "4711")]),
        ("|4711", [("", "4711")]),
        ("4711", [(None, "4711")]),
        ("urn:h|", [("urn:h", "")]),
        ("a,urn:h|b", [(None, "a"), ("urn:h", "b")]),
        (r"urn:h|a\,b", [("urn:h", "a,b")]),
        (r"a\|b", [(None, "a|b")]),
        (r"a\$b", [(None, "a$b")]),
        (r"a\\,b", [(None, "a\\"), (None, "b")]),
        (r"urn:h\\|b", [("urn:h\\", "b")]),
        ("a\\", [(None, "a\\")]),
        ("urn:h|a|b", [("urn:h", "a|b")]),
        ("a,,b,", [(None, "a"), (None, "b")]),
    ],
)
def test_tokens_keep_system_no_system_and_any_system_apart(value: str, expected: list[tuple[str | None, str]]) -> None:
    assert alternatives("identifier", value) == expected


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=3))
def test_what_was_escaped_is_read_as_it_was(pairs: list[tuple[str, str]]) -> None:
    def escaped(text: str) -> str:
        return "".join(f"\\{letter}" if letter in ",|$\\" else letter for letter in text)

    value = ",".join(f"{escaped(system)}|{escaped(code)}" for system, code in pairs)
    assert alternatives("identifier", value) == pairs


def test_not_means_that_none_of_the_values_is_there() -> None:
    assert asked("status:not", "final,amended") == Criterion(
        name="status", alternatives=((None, "final"), (None, "amended")), negated=True
    )


# Strings (section 3.1.1.4.8)


def test_a_string_is_what_a_text_begins_with_without_case_and_accents() -> None:
    assert asked("family", "M\u00dcL,stra\u00dfe", "Patient") == Criterion(
        name="family", alternatives=((None, "mul"), (None, "strasse")), starts=True
    )


def test_an_exact_string_is_the_text_itself() -> None:
    assert asked("family:exact", "M\u00fcller", "Patient") == Criterion(
        name="family", alternatives=(("M\u00fcller", "muller"),)
    )


def test_an_exact_string_that_is_longer_than_what_is_indexed_is_found() -> None:
    long = "Stra\u00dfe " * 100
    (row, *_) = index_rows({"resourceType": "Patient", "name": [{"family": long}]})
    ((text, value),) = alternatives("family:exact", long, "Patient")
    assert (row.system, getattr(row, "value", None)) == (text, value)
    assert len(value) <= MAX_STRING


@pytest.mark.parametrize("value", [" ", "\u0301", "a, "])
def test_a_string_of_nothing_is_refused_because_it_would_find_all(value: str) -> None:
    with pytest.raises(SearchInvalid, match="no text"):
        asked("family", value, "Patient")


# References (section 3.1.1.4.12)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("patient", "1", ["Patient/1"]),
        ("subject", "1", ["Device/1", "Group/1", "Location/1", "Patient/1"]),
        ("subject:Patient", "1", ["Patient/1"]),
        ("subject", "Patient/1", ["Patient/1"]),
        ("subject", "Patient/1/_history/2", ["Patient/1", "Patient/1/_history/2"]),
        ("subject", f"{BASE}/Patient/1", ["Patient/1", f"{BASE}/Patient/1"]),
        ("subject:Patient", "https://other.example/Patient/1", ["https://other.example/Patient/1"]),
        ("subject", "urn:uuid:5b0d", ["urn:uuid:5b0d"]),
        ("patient", "1,Patient/2,Patient/1", ["Patient/1", "Patient/2"]),
        ("patient", "Group/1", []),
        ("subject:Patient", "Group/1", []),
        ("subject:Patient", f"{BASE}/Group/1", []),
    ],
)
def test_every_form_of_a_reference_is_looked_up(name: str, value: str, expected: list[str]) -> None:
    assert alternatives(name, value) == [(None, one) for one in expected]


def test_a_bare_id_that_may_be_of_any_type_is_refused() -> None:
    assert alternatives("target", "DiagnosticReport/1", "Provenance") == [(None, "DiagnosticReport/1")]
    assert alternatives("target:DiagnosticReport", "1", "Provenance") == [(None, "DiagnosticReport/1")]
    with pytest.raises(SearchInvalid, match="any type"):
        asked("target", "1", "Provenance")


def test_a_reference_is_found_by_its_identifier() -> None:
    assert asked("patient:identifier", "urn:h|4711") == Criterion(
        name="subject:identifier", alternatives=(("urn:h", "4711"),)
    )


# Modifiers


@pytest.mark.parametrize(
    ("name", "ranges", "row_name"),
    [
        ("code", False, "code"),
        ("date", True, "date"),
        ("value-quantity", True, "value-quantity"),
        ("patient", False, "subject"),
        ("_tag", False, "_tag"),
    ],
)
def test_missing_asks_for_rows_of_the_right_kind(name: str, ranges: bool, row_name: str) -> None:
    assert asked(f"{name}:missing", "true") == Missing(name=row_name, missing=True, ranges=ranges)
    assert asked(f"{name}:missing", "false") == Missing(name=row_name, missing=False, ranges=ranges)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code:missing", "perhaps"),
        ("_id:missing", "true"),
        ("_lastUpdated:missing", "false"),
        ("code:text", "ekg"),
        ("code:exact", "1"),
        ("date:not", "2026"),
        ("value-string:contains", "a"),
        ("subject:Practitioner", "1"),
        ("subject:not", "1"),
        ("value-quantity:not", "1"),
        ("code", ","),
        ("code", "|"),
    ],
)
def test_values_and_modifiers_that_cannot_be_used_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        asked(name, value)
    assert caught.value.element == name.partition(":")[0]


@given(
    st.sampled_from(["code", "subject", "date", "value-quantity", "value-string", "_id", "_tag", "_lastUpdated"]),
    st.sampled_from(["", ":not", ":exact", ":identifier", ":missing", ":Patient", ":x"]),
    st.text(max_size=20),
)
def test_any_value_is_either_a_criterion_or_refused(name: str, modifier: str, value: str) -> None:
    try:
        found = asked(name + modifier, value)
    except SearchInvalid:
        return
    assert isinstance(found, Criterion | Within | Missing)


def test_about_a_date_reaches_a_tenth_of_the_time_until_now() -> None:
    wanted = asked("date", "ap2026-02-20T12:00:00Z")
    assert isinstance(wanted, Within)
    ((low, high),) = [(each.after, each.before) for each in wanted.alternatives]
    assert low is not None
    assert high is not None
    assert at_microseconds(low) == datetime(2026, 2, 19, 12, tzinfo=UTC)
    assert at_microseconds(high) == datetime(2026, 2, 21, 12, 0, 1, tzinfo=UTC)
