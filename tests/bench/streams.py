"""What the service sustains: waveforms with results going out, and small messages."""

from tests.bench import messages
from tests.bench.doors import door_row, first_number
from tests.bench.figures import Budget, Row, Table
from tests.bench.load import Clients, Load, Loaded
from tests.bench.service import free_port, running

SENDERS = 10  # connections; they divide the 100 patients, so that a patient's messages come on one connection
INTAKE_CONNECTIONS = 20

SUSTAINED_BUDGET = (Budget("rate", 50.0),)
INTAKE_BUDGET = (Budget("rate", 1000.0), Budget("p99", 50.0))


def sustained(clients: Clients, seconds: float) -> Table:
    """Waveform messages of 100 patients, each result delivered to a receiver that acknowledges it."""
    port = free_port()
    with running(outbound_mllp=f"127.0.0.1:{port}") as service:
        load = Load(
            protocol="mllp", address=service.mllp, templates=messages.orus(), first=first_number(),
            clients=SENDERS, seconds=seconds, warm_up=0,
        )  # fmt: skip
        loaded = clients.run(service, load, port)
    return Table(f"Sustained, {seconds:g} s", sustained_rows(loaded))


def sustained_rows(loaded: Loaded) -> tuple[Row, ...]:
    """The stream itself, and what came back: what is lost, late for good or out of order is a failure."""
    found = loaded.deliveries
    assert found is not None
    what = f"ORU waveforms, {messages.PATIENTS} patients, {SENDERS} connections, outbox on"
    # A second's worth of results may be on its way at any time.
    growing = found.growth > loaded.rate
    lost = len(loaded.latencies) - found.delivered
    order = Row(
        what="results delivered",
        rate=found.delivered / loaded.elapsed,
        failures=found.out_of_order + lost + growing,
        note=f"{len(found.patients)} patients; {found.out_of_order} out of order; {lost} missing after the drain; "
        f"owed at the end {found.backlog[-1] if found.backlog else 0}, {found.growth:+d} since half-time"
        f"{' (growing)' if growing else ''}",
    )
    return door_row(what, loaded, budgets=SUSTAINED_BUDGET), order


def intake(clients: Clients, seconds: float) -> Table:
    """Small messages that only have to be durable: MSH-15 AL, audit chain on."""
    with running() as service:
        load = Load(
            protocol="mllp", address=service.mllp, templates=messages.admissions(), first=first_number(),
            clients=INTAKE_CONNECTIONS, seconds=seconds, warm_up=0,
        )  # fmt: skip
        size = len(load.message(0))
        loaded = clients.run(service, load)
    what = f"ADT^A08, {size} bytes, {INTAKE_CONNECTIONS} connections, to CA"
    return Table(f"Small durable intake, {seconds:g} s", (door_row(what, loaded, budgets=INTAKE_BUDGET),))
