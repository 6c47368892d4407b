"""Every route that takes a body gets bodies that are almost valid: it stores or refuses them, and never fails."""

import json
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interop.fhir.parameters import INTERACTIONS, Interaction
from tests.e2e.bodies import ROUTES, Door, bundle, door
from tests.e2e.doors import FHIR_JSON
from tests.e2e.mutation import mutants
from tests.interop.valid import valid

__all__ = ["door"]

EXAMPLES = 12
# The same mutants each time; a service on a busy machine may take its time.
FIXED = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def strict(content: bytes) -> Any:
    """JSON without what only Python takes for JSON."""

    def refused(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(content.decode(), parse_constant=refused)


def check(answer: httpx.Response) -> None:
    """Whatever was asked: no failure, and an answer that the door's clients can read."""
    assert answer.status_code < 500, answer.text
    assert answer.content == b"" or isinstance(strict(answer.content), dict)
    if answer.is_client_error:
        door = answer.url.path.split("/")[1]
        expected = {"fhir": FHIR_JSON, "cds-services": "application/json"}.get(door)
        assert answer.headers["Content-Type"] == (expected or "application/problem+json")
        if expected:
            valid("OperationOutcome", answer.content)


def test_these_are_all_routes_that_take_a_body(door: Door) -> None:
    assert door.routes == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_route_takes_what_is_valid_and_never_fails(door: Door, method: str, path: str) -> None:
    if method == "PATCH":  # an earlier mutant may have taken away what is patched here
        door.send("PUT", path, orjson.dumps(door.seed("PUT", path)))
    seed = door.seed(method, path)
    untouched = door.send(method, path, orjson.dumps(seed))
    # An over-read is of one version: after the first there is another.
    assert untouched.is_success or ("DiagnosticReport" in path and untouched.status_code in (412, 422)), untouched.text

    @settings(FIXED, max_examples=EXAMPLES)
    @given(content=mutants(seed))
    def never_fails(content: bytes) -> None:
        answer = door.send(method, path, content)
        check(answer)
        if "Location" in answer.headers and answer.content:
            stored = door.http.get(httpx.URL(answer.headers["Location"]).path)
            assert (stored.status_code, strict(stored.content)) == (200, strict(answer.content))

    never_fails()


@settings(FIXED, max_examples=EXAMPLES)
@given(data=st.data())
def test_batches_and_transactions_never_fail(door: Door, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(("batch", "transaction")))
    answer = door.send("POST", "/fhir", data.draw(mutants(bundle(kind))))
    check(answer)
    if answer.is_success:
        assert not [one for one in answer.json().get("entry", ()) if one["response"]["status"].startswith("5")]


@pytest.mark.parametrize("kind", [kind for kind in INTERACTIONS if Interaction.SEARCH in INTERACTIONS[kind]])
def test_everything_that_was_stored_can_be_read_searched_and_followed_through_its_history(
    door: Door, kind: str
) -> None:
    for path in (f"/fhir/{kind}?_count=100", f"/fhir/{kind}/_history?_count=100"):
        following: str | None = path
        while following:
            page = door.http.get(following)
            assert page.status_code == 200, page.text
            found = strict(page.content)
            assert found["entry"]
            following = next((link["url"] for link in found["link"] if link["relation"] == "next"), None)
