"""The harness of `make bench` itself: what it sends, counts and prints. How fast anything is, is not tested here."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inference.digest import signal_digest
from interop.hl7.message import parse
from interop.hl7.oru import decode
from interop.hl7.senders import load_senders
from interop.predict.schema import read
from interop.resources import observation
from tests.bench import doors, messages, report, streams
from tests.bench.figures import Budget, Row, Table, quantile, times
from tests.bench.load import Clients, Loaded
from tests.bench.receiver import Deliveries
from tests.bench.service import free_port, running

BUDGET_ROWS = [
    (Row(what="", p99=14.0, budgets=(Budget("p99", 15.0),)), "holds", "p99 < 15 ms"),
    (Row(what="", p99=30.0, budgets=(Budget("p99", 15.0),)), "missed by 2x", "p99 < 15 ms"),
    (Row(what="", rate=40.0, budgets=(Budget("rate", 50.0),)), "missed by 1.25x", "≥ 50/s"),
    (Row(what="", rate=0.0, budgets=(Budget("rate", 50.0),)), "missed by infx", "≥ 50/s"),
    (Row(what="", factor=25.0, budgets=(Budget("factor", 20.0),)), "holds", "≥ 20x faster"),
    (Row(what="", p50=400.0, unit="MB", budgets=(Budget("p50", 350.0),)), "missed by 1.14x", "< 350 MB"),
    (Row(what="", rate=2000.0, p99=60.0, budgets=streams.INTAKE_BUDGET), "missed by 1.2x", "≥ 1000/s, p99 < 50 ms"),
    (Row(what="", p99=1.0, budgets=(Budget("p99", 15.0),), failures=2), "failed: 2 wrong answers", "p99 < 15 ms"),
    (Row(what="", p50=1.0), "", ""),
]


@pytest.mark.parametrize(("row", "verdict", "budget"), BUDGET_ROWS)
def test_a_row_says_whether_it_holds_its_budget(row: Row, verdict: str, budget: str) -> None:
    assert (row.verdict, row.budget) == (verdict, budget)


def test_quantiles_are_measured_values_and_not_between_them() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (50.0, 99.0, 7.0)
    assert times("", [0.001, 0.003]).p99 == pytest.approx(3.0)


def test_no_two_messages_share_an_identifier_or_a_signal() -> None:
    sender, now = load_senders(None, "UTC").of(""), datetime.now(UTC)
    first, second = (parse(messages.orus()[0].fill(number)) for number in (1, 2))
    assert first.header.control_id != second.header.control_id
    assert (decode(first, sender).recording.signal != decode(second, sender).recording.signal).sum() == 1
    posted = [observation.parse(messages.observations()[0].fill(number)) for number in (1, 2)]
    assert posted[0].identifiers != posted[1].identifiers
    assert signal_digest(observation.to_recording(posted[0])) != signal_digest(observation.to_recording(posted[1]))
    predicted = [read(messages.predictions()[0].fill(number), now).signal for number in (1, 2)]
    assert (predicted[0] != predicted[1]).sum() == 1


def test_messages_have_the_sizes_of_the_budgets() -> None:
    assert 280_000 < len(messages.observations()[0].fill(0)) < 292_000
    assert 550 < len(messages.admissions()[0].fill(0)) < 650
    ecg = decode(parse(messages.orus()[0].fill(0)), load_senders(None, "UTC").of("")).recording
    assert ecg.signal.size == 60_000


def test_a_patient_stays_on_one_connection_of_the_sustained_stream() -> None:
    assert messages.PATIENTS % streams.SENDERS == 0


def test_results_that_are_late_lost_or_out_of_order_are_failures() -> None:
    loaded = Loaded(latencies=[0.1] * 10, elapsed=1.0)
    loaded.deliveries = Deliveries(delivered=10, backlog=[1, 1, 1, 2])
    assert [row.failures for row in streams.sustained_rows(loaded)] == [0, 0]
    loaded.deliveries = Deliveries(delivered=8, out_of_order=1, backlog=[1, 10, 20, 40])
    assert streams.sustained_rows(loaded)[1].failures == 1 + 2 + 1


def test_figures_replace_those_between_the_marks_of_a_document(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    table = Table("Doors", (Row(what="a|b", p50=12.34, p99=150.0, rate=9.6, budgets=(Budget("p99", 15.0),)),))
    report.write(document, report.markdown(["two cores"], [table]))
    written = document.read_text()
    assert "| a/b | 12.3 ms | 150 ms | 10/s | p99 < 15 ms | missed by 10x |  |" in written
    assert written.startswith("before\n")
    assert written.endswith("<!-- /figures -->\nafter\n")
    assert "old" not in written


def test_every_load_runs_against_the_real_service_and_results_come_back_in_order() -> None:
    port = free_port()
    clients = Clients()
    try:
        with running(outbound_mllp=f"127.0.0.1:{port}") as service:
            sent = clients.run(service, replace(doors.mllp_load(service, 4), warm_up=0, idle=3), port)
            before = service.histograms()
            for make, _ in (*doors.DOORS.values(), *doors.HOOKS.values()):
                loaded = clients.run(service, make(service, 2, 2))
                assert (len(loaded.latencies), loaded.failures, loaded.refused) == (2, 0, [])
            resident, proportional = service.memory()
            classified = service.histograms()["classify"].since(before["classify"])
    finally:
        clients.close()
    assert resident >= proportional > 50
    assert sent.cpu_seconds > 0
    # Each door but the hook calls that bring no ECG.
    assert classified.number == 4 * (2 + 2 * doors.mllp_load(service, 1).warm_up)
    assert sent.deliveries is not None
    assert (sent.deliveries.delivered, sent.deliveries.out_of_order) == (4, 0)
