from typing import Any

import numpy as np
import pytest

from inference.labels import Superclass
from tests.training.monitoring.seen import analysis, detail, overread, pair, unreadable
from training.monitoring.truth import class_auc, confusion, enough, gather, macro_auc, thresholds


def test_live_results_that_were_classified_enter_and_the_rest_is_counted() -> None:
    silent, blank = analysis(mode="silent"), unreadable()
    kept = analysis(probabilities={"MI": 0.8, "CD": 0.2})
    found = gather(
        [
            (silent, overread(silent, MI=True)),
            (blank, overread(blank)),
            (kept, overread(kept, MI=True, CD=None, HYP=False)),
        ]
    )
    assert (len(found), found.left_out) == (1, {"silent": 1, "not interpretable": 1})
    labels, probabilities, limits = found.column(Superclass.MI)
    assert (labels.tolist(), probabilities.tolist(), limits.tolist()) == ([1.0], [0.8], [0.3])
    assert np.isnan(found.column(Superclass.CD)[0]).all(), "not told"
    assert np.isnan(found.column(Superclass.STTC)[0]).all(), "not asked"
    assert found.column(Superclass.HYP)[0].tolist() == [0.0]
    assert np.isnan(found.column(Superclass.HYP)[1]).all()


def test_of_nothing_there_is_a_table_without_rows() -> None:
    found = gather([])
    assert (len(found), found.labels.shape, macro_auc(found)) == (0, (0, 5), None)
    assert found.only([]).labels.shape == (0, 5)


def test_thresholds_are_those_of_the_result_itself() -> None:
    assert thresholds(detail({"MI": 0.42})) == {"MI": 0.42}
    assert thresholds(b'{"prediction": null}') == thresholds(b"{}") == {}


@pytest.mark.parametrize(
    ("positives", "negatives", "unknown", "expected"),
    [(5, 15, 0, True), (15, 5, 9, True), (4, 16, 0, False), (16, 4, 0, False), (9, 10, 50, False)],
)
def test_a_class_is_judged_from_20_known_of_which_5_of_either_kind(
    positives: int, negatives: int, unknown: int, expected: bool
) -> None:
    labels = np.array([1.0] * positives + [0.0] * negatives + [np.nan] * unknown)
    assert enough(labels) is expected
    assert (class_auc(labels, np.linspace(0, 1, len(labels))) is not None) is expected


def test_an_auc_calculated_by_hand() -> None:
    """Each of 5 positives at 0.6 beats 10 of 15 negatives, and ties with 5: (10 + 5 / 2) / 15."""
    labels = np.array([1.0] * 5 + [0.0] * 15)
    probabilities = np.array([0.6] * 5 + [0.2] * 10 + [0.6] * 5)
    found = class_auc(labels, probabilities)
    assert found is not None
    assert found.value == pytest.approx(12.5 / 15)
    assert found.low <= found.value <= found.high


def test_decisions_at_the_threshold_count_as_decided_and_results_without_one_do_not_count() -> None:
    labels = np.array([1.0, 1.0, 0.0, 0.0, np.nan, 1.0])
    probabilities = np.array([0.3, 0.29, 0.3, 0.1, 0.9, 0.9])
    limits = np.array([0.3, 0.3, 0.3, 0.3, 0.3, np.nan])
    assert confusion(labels, probabilities, limits) == {"sensitivity": (1, 2), "specificity": (1, 2)}


def test_the_mean_auc_needs_every_class() -> None:
    only_mi = gather([pair(i < 10, i / 20) for i in range(20)])
    assert macro_auc(only_mi) is None
    rows = [analysis(probabilities={c.value: float(i < 10) for c in Superclass}) for i in range(20)]
    said: list[dict[str, Any]] = [{c.value: i < 10 for c in Superclass} for i in range(len(rows))]
    perfect = gather([(row, overread(row, **findings)) for row, findings in zip(rows, said, strict=True)])
    found = macro_auc(perfect)
    assert found is not None
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
