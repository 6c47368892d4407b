import numpy as np
import pytest

from audit.records import AnalysisRow, OverreadRow
from inference.labels import Superclass
from tests.training.monitoring.seen import pair
from training.monitoring.concept import concept_tests, spiegelhalter
from training.monitoring.shift_tests import judge
from training.monitoring.truth import gather

AGREEMENT = {c.value: (180, 200) for c in Superclass}


Pairs = list[tuple[AnalysisRow, OverreadRow]]


def flags(pairs: Pairs, agreement: dict[str, tuple[int, int]] = AGREEMENT) -> dict[str, bool | None]:
    tests = list(concept_tests(gather(pairs), agreement, "the validation"))
    assert len(tests) == 2 * len(Superclass)
    return {one.tested.name: one.flag for one in judge(tests)}


def read(number: int, *, found: float, probability: float, seed: int = 0) -> Pairs:
    """Over-reads of results with one probability of MI, of which a share has it."""
    random = np.random.default_rng(seed)
    return [pair(bool(random.uniform() < found), probability) for _ in range(number)]


def test_z_is_that_of_the_paper() -> None:
    labels, probabilities = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.9, 0.2, 0.3, 0.3])
    numerator = sum((y - p) * (1 - 2 * p) for y, p in zip(labels, probabilities, strict=True))
    variance = sum((1 - 2 * p) ** 2 * p * (1 - p) for p in probabilities)
    z, p_value = spiegelhalter(labels, probabilities)
    assert z == pytest.approx(numerator / variance**0.5)
    assert 0 < p_value < 1
    assert spiegelhalter(np.array([1.0]), np.array([1.0])) == (0.0, 1.0)


def test_findings_as_frequent_as_said_are_no_drift() -> None:
    found = flags(read(300, found=0.1, probability=0.1))
    assert (found["calibration MI"], found["agreement MI"]) == (False, False)
    assert found["agreement CD"] is None  # nobody said anything of it


def test_findings_twice_as_frequent_are() -> None:
    found = flags(read(300, found=0.4, probability=0.1))
    assert (found["calibration MI"], found["agreement MI"]) == (True, True)


def test_without_an_agreement_to_compare_with_calibration_still_is_judged() -> None:
    found = flags(read(300, found=0.4, probability=0.1), {})
    assert (found["calibration MI"], found["agreement MI"]) == (True, None)


def test_few_over_reads_cannot_be_judged() -> None:
    assert set(flags(read(49, found=1.0, probability=0.1)).values()) == {None}
