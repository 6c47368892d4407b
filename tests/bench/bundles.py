"""Transactions of 50 ECGs against the same ECGs one by one, and the memory over many of them."""

from collections.abc import Callable
from itertools import count
from time import perf_counter

import httpx
import orjson

from tests.bench import messages
from tests.bench.doors import FHIR_JSON, fhir_load, first_number, memory_now
from tests.bench.figures import Budget, Row, Table
from tests.bench.load import Clients
from tests.bench.service import Service, running
from tests.bench.sizes import Sizes

ECGS = 50
CLIENTS = 4
# What the model takes in one run is worth 1.3 times as much as one by one; a Bundle must at least not be slower.
BUDGET = (Budget("factor", 1.0),)
STEADY = 1.1  # of the memory after the first tenth


def measure(clients: Clients, sizes: Sizes) -> tuple[Table, ...]:
    """The tables."""
    with running() as service:
        rows = _rates(clients, service, sizes)
    with running() as service:
        memory = _memory(clients, service, sizes.posts)
    return Table("Bundles", rows, "value"), Table("Memory over many ECGs", memory, "value")


def _rates(clients: Clients, service: Service, sizes: Sizes) -> tuple[Row, ...]:
    singles = clients.run(service, fhir_load(service, sizes.bundles * ECGS // 2, CLIENTS))
    alone = clients.run(service, fhir_load(service, sizes.bundles * ECGS // 4))
    seconds, failures = _posted(service, sizes.bundles)
    rate = sizes.bundles * ECGS / seconds
    return (
        Row(what="one by one, one client", rate=alone.rate, failures=alone.failures),
        Row(what=f"one by one, {CLIENTS} clients", rate=singles.rate, failures=singles.failures),
        Row(
            what=f"transactions of {ECGS} ECGs, one client",
            rate=rate,
            factor=rate / alone.rate,
            budgets=BUDGET,
            failures=failures,
            note=f"{1000 * seconds / sizes.bundles:.0f} ms each, {sizes.bundles} of them; compared to one client",
        ),
    )


def _posted(service: Service, number: int) -> tuple[float, int]:
    """Seconds for so many transactions, and how many failed."""
    template, numbers = messages.observations()[0], count(first_number())
    bundles = [_bundle(template.fill, numbers) for _ in range(number)]
    failures = 0
    with httpx.Client(base_url=f"http://{service.http[0]}:{service.http[1]}", timeout=60) as client:
        started = perf_counter()
        for bundle in bundles:
            answer = client.post("/fhir", content=bundle, headers={"Content-Type": FHIR_JSON})
            stored = answer.json().get("entry", [])
            failures += [one["response"]["status"] for one in stored] != ["201 Created"] * ECGS
        return perf_counter() - started, failures


def _bundle(fill: Callable[[int], bytes], numbers: "count[int]") -> bytes:
    entries = [
        {"request": {"method": "POST", "url": "Observation"}, "resource": orjson.Fragment(fill(next(numbers)))}
        for _ in range(ECGS)
    ]
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def _memory(clients: Clients, service: Service, posts: int) -> tuple[Row, ...]:
    first = clients.run(service, fhir_load(service, posts // 10, CLIENTS))
    early = memory_now(service, f"memory after {posts // 10} ECGs (RSS)")
    rest = clients.run(service, fhir_load(service, posts - posts // 10, CLIENTS))
    late = memory_now(service, f"memory after {posts} ECGs (RSS)")
    assert early.p50 is not None
    limit = (Budget("p50", round(early.p50 * STEADY)),)
    return early, Row(
        what=late.what, p50=late.p50, unit=late.unit, note=late.note, budgets=limit,
        failures=first.failures + rest.failures,
    )  # fmt: skip
