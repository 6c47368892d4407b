import numpy as np

from inference.labels import Superclass
from tests.training.monitoring.seen import DAY, NOW, analysis, detail, overread, shadow
from training.monitoring.side_by_side import gather

MI = list(Superclass).index(Superclass.MI)


def test_what_both_said_lies_side_by_side_by_the_model_in_shadow_mode() -> None:
    first = analysis(probabilities={"MI": 0.8}, urgency="urgent", analyzed_at=NOW - 2 * DAY)
    second = analysis(probabilities={"MI": 0.1}, mode="silent", model_version="1.1.0")
    other = shadow(second, model_version="3.0.0", probabilities={"MI": 0.9}, decided=["MI"], urgency="immediate")
    found = gather([(first, shadow(first, milliseconds=6.0), None), (second, other, overread(second, MI=True))])
    assert set(found) == {("ecg-resnet", "2.0.0"), ("ecg-resnet", "3.0.0")}
    one, two = found["ecg-resnet", "2.0.0"], found["ecg-resnet", "3.0.0"]
    assert (len(one), one.first, one.last) == (1, NOW - 2 * DAY, NOW - 2 * DAY)
    assert one.served.said().decisions[0, MI]
    assert one.served.said().urgent.tolist() == one.shadow.said().urgent.tolist() == [True]
    assert list(one.shadow.seconds) == [0.006]
    assert (dict(two.modes), dict(two.served_by)) == ({"silent": 1}, {("ecg-resnet", "1.1.0"): 1})
    assert not two.served.said().decisions[0, MI]
    assert two.shadow.said().decisions[0, MI]
    assert (two.served.said().urgent.tolist(), two.shadow.said().urgent.tolist()) == ([False], [True])


def test_decisions_of_what_served_are_by_the_thresholds_of_its_time() -> None:
    strict = {superclass.value: 0.9 for superclass in Superclass}
    rows = [analysis(probabilities={"MI": 0.8}, detail=detail(strict)), analysis(probabilities={"MI": 0.8})]
    (found,) = gather([(row, shadow(row), None) for row in rows]).values()
    assert found.served.said().decisions[:, MI].tolist() == [False, True]
    assert found.shadow.said().decisions[:, MI].tolist() == [True, True]


def test_the_time_of_what_the_cache_knew_is_not_counted() -> None:
    rows = [analysis(detail=detail(lookup=0.001)), analysis(detail=detail(classify=0.003))]
    (found,) = gather([(row, shadow(row), None) for row in rows]).values()
    assert list(found.served.seconds) == [0.003]
    assert len(found.shadow.seconds) == 2


def test_labels_are_of_those_that_were_over_read() -> None:
    rows = [analysis() for _ in range(3)]
    said = [None, overread(rows[1], MI=False, CD=None), overread(rows[2], MI=True)]
    (found,) = gather([(row, shadow(row), one) for row, one in zip(rows, said, strict=True)]).values()
    labels, places = found.truth()
    assert places == [1, 2]
    assert labels[:, MI].tolist() == [0.0, 1.0]
    assert np.isnan(np.delete(labels, MI, axis=1)).all()


def test_without_over_reads_there_are_no_labels() -> None:
    row = analysis()
    (found,) = gather([(row, shadow(row), None)]).values()
    labels, places = found.truth()
    assert (labels.shape, places) == ((0, 5), [])
