from datetime import timedelta

from tests.training.monitoring.ecgs import detail_of
from tests.training.monitoring.seen import DAY, NOW, analysis
from training.monitoring.observed import Window
from training.monitoring.traffic import WINDOW_ECGS, is_traffic, traffic_of

WINDOW = Window.before(NOW, 30)


def test_the_newest_live_ecgs_are_looked_at() -> None:
    rows = [analysis(analyzed_at=NOW - timedelta(minutes=400 - i)) for i in range(400)]
    found = traffic_of(rows, WINDOW)
    assert found.current == rows[-WINDOW_ECGS:]
    assert found.earlier == rows[:-WINDOW_ECGS]


def test_what_is_no_traffic_is_counted_and_left_out() -> None:
    rows = [
        analysis(analyzed_at=NOW - 31 * DAY),
        analysis(mode="silent"),
        analysis(detail=detail_of(archived=True)),
        analysis(),
    ]
    found = traffic_of(rows, WINDOW)
    assert found.current == rows[-1:]
    assert found.left_out == {"silent": 1, "archived": 1, "before the window": 1}
    assert [is_traffic(row) for row in rows] == [True, False, False, True]
