from dataclasses import replace

import pytest

from inference.labels import Superclass
from inference.recording import Sex
from training.datasets.entry import Entry
from training.validation.bias import GroupRates, LabelRate, age_group, group_rates


def groups(entries: list[Entry], min_group: int = 20) -> dict[str, GroupRates]:
    return {g.name: g for g in group_rates(entries, min_group)}


def test_everybody_is_counted_once_in_each_attribute(healthy: tuple[Entry, ...]) -> None:
    entries = [replace(healthy[0], sex=Sex.OTHER, age=None, site=None, device=None), *healthy[1:]]
    found = groups(entries)
    for attribute in ("all", "sex", "age", "site", "device"):
        assert sum(g.recordings for g in found.values() if g.attribute == attribute) == len(entries)
        assert attribute == "all" or found[f"{attribute}/unknown"].recordings == 1


def test_recordings_of_one_patient_are_one_patient(healthy: tuple[Entry, ...]) -> None:
    found = groups([replace(e, patient_id="P") for e in healthy])
    assert (found["all/all"].recordings, found["all/all"].patients) == (60, 1)


@pytest.mark.parametrize(
    ("age", "group"),
    [(None, "unknown"), (0, "under 40"), (39.9, "under 40"), (40, "40 to 59"), (60, "60 to 79"), (79.9, "60 to 79"),
     (80, "80 and over"), (-1, "unknown")],
)  # fmt: skip
def test_ages_fall_into_their_groups(age: float | None, group: str) -> None:
    assert age_group(age) == group


def test_a_rate_has_the_wilson_interval_of_those_where_the_class_is_known(healthy: tuple[Entry, ...]) -> None:
    """20 of 100: 0.1334 to 0.2888 (Brown, Cai and DasGupta, Statist Sci 16:101, 2001, formula 4)."""
    entries = [replace(healthy[0], labels={Superclass.MI: i < 20}) for i in range(100)]
    entries += [replace(healthy[0], labels={})] * 50
    rate = groups(entries)["all/all"].rates[Superclass.MI]
    assert (rate.known, rate.positives, rate.rate) == (100, 20, 0.2)
    assert rate.low == pytest.approx(0.1334, abs=1e-4)
    assert rate.high == pytest.approx(0.2888, abs=1e-4)


def test_fewer_than_twenty_are_too_few_to_judge(healthy: tuple[Entry, ...]) -> None:
    for size, judged in ((19, False), (20, True)):
        rate = groups(list(healthy[:size]))["all/all"].rates[Superclass.MI]
        assert rate.known == size
        assert (rate.rate is not None) is judged
        assert rate.excludes(0.99) is judged


def test_an_interval_excludes_what_lies_outside_of_it() -> None:
    rate = LabelRate(100, 20, 0.2, 0.13, 0.29)
    assert [rate.excludes(value) for value in (0.12, 0.13, 0.29, 0.3)] == [True, False, False, True]


def test_nobody_is_a_group_without_a_rate() -> None:
    assert groups([]) == {}
