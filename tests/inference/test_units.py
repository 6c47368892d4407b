import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import UnitMissing, UnitUnsupported
from inference.units import to_millivolt


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("mV", 1.0),
        ("uV", 1e-3),
        ("\u00b5V", 1e-3),
        ("\u03bcV", 1e-3),
        ("V", 1e3),
        ("nV", 1e-6),
        ("MV", 1.0),  # HL7 v2 ISO+ has no case
        (" mV ", 1.0),
        ("266418", 1.0),
        ("266419", 1e-3),
        ("266400", 1e3),
        ("MDC_DIM_MILLI_VOLT", 1.0),
        ("MDC_DIM_MICRO_VOLT", 1e-3),
    ],
)
def test_a_known_unit_has_its_factor(unit: str, factor: float) -> None:
    assert to_millivolt(unit) == factor


def test_mdc_codes_follow_the_rule_of_partition_and_prefix() -> None:
    partition, volt = 4 * 65_536, 4_256
    for prefix, factor in ((0, 1e3), (18, 1.0), (19, 1e-3), (20, 1e-6)):
        assert to_millivolt(str(partition + volt + prefix)) == factor


@pytest.mark.parametrize("unit", [None, "", "  "])
def test_a_missing_unit_is_refused_and_not_guessed(unit: str | None) -> None:
    with pytest.raises(UnitMissing):
        to_millivolt(unit)


@given(
    st.text(min_size=1).filter(lambda text: text.strip() and not text.strip().isdecimal() and "v" not in text.lower())
)
def test_a_text_without_a_volt_in_it_is_refused_briefly(text: str) -> None:
    with pytest.raises(UnitUnsupported) as caught:
        to_millivolt(text)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("unit", ["mm[Hg]", "kV", "mV/s", "266418000", "mVolts RMS", "1"])
def test_a_unit_that_only_looks_like_one_is_refused(unit: str) -> None:
    with pytest.raises(UnitUnsupported):
        to_millivolt(unit)
