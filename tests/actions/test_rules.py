from hypothesis import given
from hypothesis import strategies as st

from actions.rules import Limits

EDGES = st.none() | st.integers(-3, 3).map(float)
LIMITS = st.builds(Limits, at_least=EDGES, above=EDGES, below=EDGES, at_most=EDGES)


def test_inclusive_edges_belong_to_the_range_and_exclusive_ones_do_not() -> None:
    assert Limits(at_least=0.7).hold(0.7)
    assert not Limits(below=0.7).hold(0.7)
    assert not Limits(above=500).hold(500)
    assert Limits(at_most=500).hold(500)


def test_an_unknown_value_lies_in_no_range_not_even_an_open_one() -> None:
    assert not Limits().hold(None)


@given(LIMITS)
def test_a_range_is_empty_exactly_if_no_value_lies_in_it(limits: Limits) -> None:
    # Half steps reach between any two whole edges, and beyond the outermost.
    assert limits.empty == (not any(limits.hold(step / 2) for step in range(-8, 9)))


def test_limits_are_told_in_words() -> None:
    assert str(Limits(at_least=50, at_most=100)) == "at least 50, at most 100"
    assert str(Limits(above=360.5, below=460)) == "above 360.5, below 460"
