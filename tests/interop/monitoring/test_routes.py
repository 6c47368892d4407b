"""Reports and alerts as they are served."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from audit.monitoring_records import Alert, MonitoringReport, Notice, NoticeEvent, ReportKind, Severity
from interop.monitoring.shown import KINDS
from tests.fakes import NOW
from tests.interop.service import Service, running


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def stored(service: Service, kind: ReportKind, hours: float = 0, page: bytes | None = None) -> None:
    at = NOW - timedelta(hours=hours)
    report = MonitoringReport(
        kind=kind, computed_at=at, begin=at - timedelta(days=1), end=at, flag=True, content=b'{"flag":true}', page=page
    )
    with service.store.store.unit_of_work() as uow:
        uow.reports.add(report)


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_first_report_there_is_none(service: Service, kind: ReportKind) -> None:
    response = service.client.get(f"/monitoring/{kind}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert f"ecg-interop monitor {kind}" in response.text


@pytest.mark.parametrize(
    ("kind", "hours"),
    [(ReportKind.DRIFT, 2), (ReportKind.BIAS, 48), (ReportKind.PERFORMANCE, 48), (ReportKind.SHADOW, 48)],
)
def test_the_newest_report_says_whether_it_is_stale(service: Service, kind: ReportKind, hours: float) -> None:
    stored(service, kind, hours + 1)
    assert service.client.get(f"/monitoring/{kind}").json() == {"flag": True, "stale": True}
    stored(service, kind, hours - 1)
    response = service.client.get(f"/monitoring/{kind}")
    assert response.json() == {"flag": True, "stale": False}
    assert response.headers["cache-control"] == "no-store"


def test_a_page_is_served_in_a_sandbox_of_its_own(service: Service) -> None:
    stored(service, ReportKind.DRIFT)
    assert service.client.get("/monitoring/drift?format=html").status_code == 404
    stored(service, ReportKind.DRIFT, page=b"<script>1</script>")
    page = service.client.get("/monitoring/drift?format=html")
    assert page.content == b"<script>1</script>"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;")
    assert "default-src 'none'" in policy
    assert service.client.get("/monitoring/drift?format=pdf").status_code == 422


def test_open_alerts_and_those_that_are_not_told_are_listed_with_their_notices(service: Service) -> None:
    assert service.client.get("/monitoring/alerts").json() == {"alerts": []}
    with service.store.store.unit_of_work() as uow:
        alert, _ = uow.alerts.see(
            Alert(key="bias:sex", severity=Severity.WARNING, title="T", text="0.57", opened_at=NOW, seen_at=NOW)
        )
        assert alert.id is not None
        uow.alerts.tell(Notice(alert_id=alert.id, event=NoticeEvent.OPENED, channel="mail", created_at=NOW))
    (found,) = service.client.get("/monitoring/alerts").json()["alerts"]
    assert (found["key"], found["severity"], found["text"]) == ("bias:sex", "warning", "0.57")
    ((mail,), open_since) = found["notices"], found["opened_at"]
    assert (mail["channel"], mail["state"], mail["attempts"], mail["error"]) == ("mail", "waiting", 0, None)
    assert (open_since, found["resolved_at"]) == (NOW.isoformat(), None)
    with service.store.store.unit_of_work() as uow:
        assert uow.alerts.claim("mail", NOW, NOW) is not None
        uow.alerts.failed(mail["id"], "no such box", None)
        uow.alerts.resolve("bias:sex", NOW)
    (found,) = service.client.get("/monitoring/alerts").json()["alerts"]
    assert found["resolved_at"] == NOW.isoformat()
    (mail,) = found["notices"]
    assert (mail["state"], mail["attempts"], mail["error"]) == ("dead", 1, "no such box")
    with service.store.store.unit_of_work() as uow:
        uow.alerts.retry(mail["id"], NOW)
        uow.alerts.told(mail["id"], NOW)
    assert service.client.get("/monitoring/alerts").json() == {"alerts": []}
