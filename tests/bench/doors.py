"""Start, memory, and the latency of each door, all on one service so that each figure is of a service in use."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count

from tests.bench import messages
from tests.bench.figures import Budget, Row, Table, quantile, times
from tests.bench.load import Clients, Load, Loaded
from tests.bench.service import Mean, Service, running
from tests.bench.sizes import Sizes

FHIR_JSON = "application/fhir+json"
IDLE = 20
MANY = 4

# Loads take their message numbers from ranges of their own, far enough apart.
_FIRST = (block * 1_000_000 for block in count(1))

PREDICT_BUDGET = (Budget("p99", 15.0),)
FHIR_BUDGET = (Budget("p99", 60.0),)
MLLP_BUDGET = (Budget("p99", 60.0),)
HOOK_BUDGET = (Budget("p99", 150.0),)
KNOWN_HOOK_BUDGET = (Budget("p99", 100.0),)
# How the 15 ms are shared out; the parsing's share is in the table of the parsers.
PREDICT_SHARES = {
    stage: (Budget("p50", limit),)
    for stage, limit in {"prepare": 2.0, "features": 3.0, "classify": 3.0, "store": 2.0}.items()
}


def first_number() -> int:
    """The beginning of a range of message numbers that no other load has."""
    return next(_FIRST)


def predict_load(service: Service, requests: int, clients: int = 1) -> Load:
    """Requests to `/predict`."""
    return Load(
        protocol="http", address=service.http, templates=messages.predictions(), first=first_number(),
        clients=clients, messages=requests, path="/predict", media_type="application/json",
    )  # fmt: skip


def fhir_load(service: Service, requests: int, clients: int = 1) -> Load:
    """Observations to the FHIR facade."""
    return Load(
        protocol="http", address=service.http, templates=messages.observations(), first=first_number(),
        clients=clients, messages=requests, path="/fhir/Observation", media_type=FHIR_JSON,
    )  # fmt: skip


def mllp_load(service: Service, requests: int, clients: int = 1) -> Load:
    """Waveform messages to the MLLP listener."""
    return Load(
        protocol="mllp", address=service.mllp, templates=messages.orus(), first=first_number(),
        clients=clients, messages=requests,
    )  # fmt: skip


def hook_load(service: Service, requests: int, clients: int = 1) -> Load:
    """Hook calls with an ECG that nobody has seen."""
    return _hooks(service, requests, clients, with_ecg=True)


def known_hook_load(service: Service, requests: int, clients: int = 1) -> Load:
    """Hook calls for patients whose ECGs came by another door."""
    return _hooks(service, requests, clients, with_ecg=False)


def _hooks(service: Service, requests: int, clients: int, *, with_ecg: bool) -> Load:
    return Load(
        protocol="http", address=service.http, templates=messages.hook_calls(with_ecg=with_ecg), first=first_number(),
        clients=clients, messages=requests, path="/cds-services/ecg-patient-view", media_type="application/json",
    )  # fmt: skip


# After the others, whose ECGs the second finds.
HOOKS = {
    "CDS Hooks patient-view, ECG in the prefetch": (hook_load, HOOK_BUDGET),
    "CDS Hooks patient-view, ECG analysed before": (known_hook_load, KNOWN_HOOK_BUDGET),
}
DOORS = {
    "/predict, 12 x 5000": (predict_load, PREDICT_BUDGET),
    "FHIR Observation, 12 x 5000": (fhir_load, FHIR_BUDGET),
    "MLLP ORU, 60,000 samples, to AA": (mllp_load, MLLP_BUDGET),
}


def measure(clients: Clients, sizes: Sizes) -> tuple[Table, ...]:
    """The tables."""
    starts = [_start_only() for _ in range(sizes.starts - 1)]
    with running() as service:
        start = _start(sorted([*starts, service.start_seconds]))
        memory = _memory(clients, service, sizes.every_door)
        doors, stages = _latencies(clients, service, sizes)
        after = memory_now(service, "memory after all of this (RSS)")
    return Table("Process", (start, *memory, after), "value"), Table("Doors", tuple(doors)), *stages


def _start_only() -> float:
    with running() as service:
        return service.start_seconds


def _start(seconds: list[float]) -> Row:
    note = f"median of {len(seconds)} on an empty database, slowest {seconds[-1]:.2f} s"
    what = "start of the process to its ready line"
    return Row(what=what, p50=quantile(seconds, 0.5), unit="s", budgets=(Budget("p50", 3.0),), note=note)


def _memory(clients: Clients, service: Service, requests: int) -> tuple[Row, ...]:
    fresh = memory_now(service, "memory when ready (RSS)")
    loads = [make(service, requests) for make, _ in (*DOORS.values(), *HOOKS.values())]
    failures = sum(clients.run(service, load).failures for load in loads)
    used = memory_now(service, f"memory after {requests} requests on every door (RSS)")
    return fresh, replace(used, budgets=(Budget("p50", 350.0),), failures=failures)


def memory_now(service: Service, what: str) -> Row:
    """What the process takes."""
    resident, proportional = service.memory()
    return Row(what=what, p50=resident, unit="MB", note=f"PSS {proportional:.0f} MB")


def _latencies(clients: Clients, service: Service, sizes: Sizes) -> tuple[list[Row], list[Table]]:
    rows, stages = [], []
    for what, (make, budgets) in DOORS.items():
        requests = sizes.predict if make is predict_load else sizes.waveforms
        load = replace(make(service, requests), seconds=sizes.row_seconds)
        size = f"{len(load.message(0)) / 1000:.0f} KB"
        before = service.histograms()
        alone = clients.run(service, load)
        stages.append(_shares(what, make, alone, before, service.histograms()))
        rows.append(door_row(f"{what}, 1 client", alone, budgets=budgets, note=size))
        together = clients.run(service, replace(make(service, requests, MANY), seconds=sizes.row_seconds))
        rows.append(door_row(f"{what}, {MANY} clients", together, note=size))
        if load.protocol == "mllp":
            beside = clients.run(service, replace(load, first=first_number(), idle=IDLE))
            rows.append(door_row(f"{what}, 1 client, {IDLE} idle beside", beside, budgets=budgets, note=size))
    return [*rows, *_hook_rows(clients, service, sizes)], stages


def _hook_rows(clients: Clients, service: Service, sizes: Sizes) -> Iterator[Row]:
    """Without shares: a call with an ECG writes twice, the ECG and what was shown of it."""
    for what, (make, budgets) in HOOKS.items():
        load = replace(make(service, sizes.waveforms), seconds=sizes.row_seconds)
        note = f"{len(load.message(0)) / 1000:.0f} KB"
        yield door_row(f"{what}, 1 client", clients.run(service, load), budgets=budgets, note=note)
        several = replace(make(service, sizes.waveforms, MANY), seconds=sizes.row_seconds)
        yield door_row(f"{what}, {MANY} clients", clients.run(service, several), note=note)


def door_row(what: str, loaded: Loaded, *, budgets: tuple[Budget, ...] = (), note: str = "") -> Row:
    """A row of a load."""
    if not loaded.latencies:
        return Row(what=what, budgets=budgets, failures=loaded.failures, note="; ".join(loaded.refused))
    facts = (f"{len(loaded.latencies)} answers", f"{loaded.cpu_milliseconds:.1f} ms CPU each", note, *loaded.refused)
    note = "; ".join(filter(None, facts))
    row = times(what, loaded.latencies)
    return replace(row, rate=loaded.rate, budgets=budgets, failures=loaded.failures, note=note)


def _shares(
    what: str, loaded_by: Callable[..., Load], loaded: Loaded, before: Mapping[str, Mean], after: Mapping[str, Mean]
) -> Table:
    """Mean milliseconds of each stage in one request, as the service's own metrics have them, and the rest."""
    whole = 1000 * sum(loaded.latencies) / len(loaded.latencies)
    spent = {stage: total.since(before.get(stage, Mean(0, 0))) for stage, total in after.items()}
    means = {stage: 1000 * mean.seconds / mean.number for stage, mean in spent.items() if mean.number}
    means["all else: client, sockets, HTTP or MLLP, parsing, documents, queues"] = whole - sum(means.values())
    limits = PREDICT_SHARES if loaded_by is predict_load else {}
    rows = [
        Row(what=stage, p50=mean, budgets=limits.get(stage, ()), note=f"{mean / whole:.0%}")
        for stage, mean in means.items()
    ]
    title = f"Where one request's time goes: {what}, 1 client (mean {whole:.1f} ms)"
    return Table(title, tuple(rows), "mean")
