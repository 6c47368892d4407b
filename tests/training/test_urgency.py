import numpy as np
import pytest

from actions.policy import load_policy
from inference.labels import Superclass
from inference.measurements import Measurements
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import Sex
from training.scores import COLUMNS
from training.urgency import Circumstances, truly_urgent, urgent

POLICY = load_policy()
THRESHOLDS = dict.fromkeys(Superclass, 0.3)
CLEAN = QualityReport()
REFUSED = QualityReport((QualityFinding(QualityCode.NO_ECG, Severity.REFUSED, (), "No ECG."),))


def _case(quality: QualityReport = CLEAN, heart_rate: float = 70.0, outside: tuple[str, ...] = ()) -> Circumstances:
    return Circumstances(
        quality=quality, measurements=Measurements(heart_rate=heart_rate), age=60.0, sex=Sex.FEMALE, outside=outside
    )


def _row(**probabilities: float) -> np.ndarray:
    row = np.zeros((1, 5), np.float32)
    for name, probability in probabilities.items():
        row[0, COLUMNS[Superclass(name)]] = probability
    return row


def _is_urgent(case: Circumstances, **probabilities: float) -> bool:
    return bool(urgent(POLICY, [case], _row(**probabilities), THRESHOLDS)[0])


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ({"MI": 0.9}, True),
        ({"MI": 0.35}, True),
        ({"MI": 0.2}, False),
        ({"STTC": 0.8}, True),
        ({"STTC": 0.5}, False),
        ({"HYP": 0.9}, False),
        ({"NORM": 0.9}, False),
    ],
)
def test_urgency_is_what_the_shipped_rules_say(probabilities: dict[str, float], expected: bool) -> None:
    assert _is_urgent(_case(), **probabilities) is expected


def test_a_measurement_alone_can_be_urgent() -> None:
    assert _is_urgent(_case(heart_rate=35.0), NORM=0.9)


def test_what_nobody_could_read_or_lies_outside_the_intended_use_is_not_urgent() -> None:
    assert not _is_urgent(_case(REFUSED), MI=0.9)
    assert not _is_urgent(_case(outside=("the patient is 17 years old, under 18",)), MI=0.9)


def test_the_truth_is_urgent_by_the_same_rules() -> None:
    labels = np.vstack([_row(MI=1), _row(STTC=1), _row(CD=1), _row(NORM=1)])
    assert truly_urgent(POLICY, [_case()] * 4, labels).tolist() == [1, 1, 0, 0]


def test_an_unknown_label_matters_only_where_the_urgency_depends_on_it() -> None:
    either, settled = _row(STTC=0), _row(MI=1)
    either[0, COLUMNS[Superclass.MI]] = settled[0, COLUMNS[Superclass.HYP]] = np.nan
    found = truly_urgent(POLICY, [_case()] * 2, np.vstack([either, settled]))
    assert np.isnan(found[0])
    assert found[1] == 1
