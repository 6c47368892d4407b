"""Figures in words."""

import pytest

from interop.monitoring.trends import Unit


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        (Unit.SHARE, 0.1234, "12.3%"),
        (Unit.RATIO, 0.567, "0.57"),
        (Unit.AUC, 0.93214, "0.932"),
        (Unit.MILLISECONDS, 13.456, "13.5 ms"),
        (Unit.MILLISECONDS, 1234.5, "1,234 ms"),
        (Unit.COUNT, 95.26, "95.3"),
        (Unit.COUNT, 0.000689, "0"),
        (Unit.COUNT, 0.426, "0.43"),
        (Unit.CHANCE, 0.00312, "0.0031"),
        (Unit.CHANCE, 0.0, "< 1e-06"),
    ],
)
def test_a_figure_is_written_with_as_many_places_as_it_is_worth(unit: Unit, value: float, words: str) -> None:
    assert unit.words(value) == words


def test_each_unit_is_one_of_its_own() -> None:
    assert len({unit.value for unit in Unit}) == len(Unit) == 6
