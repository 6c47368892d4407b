from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import InvalidContent, Malformed
from interop.cds_hooks.request import read_call, read_feedback
from interop.cds_hooks.services import Hook
from tests.interop.cds_hooks.hooks import call

TOKEN = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read", "subject": "s"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


def read(body: Any, hook: Hook = Hook.PATIENT_VIEW) -> Any:
    return read_call(orjson.dumps(body), hook)


def test_a_call_reads_back() -> None:
    found = read(call(fhirAuthorization=TOKEN, extension={"com.example": {"a": 1}}))
    assert found.server == "https://ehr.example/fhir"
    assert found.user_key("iss") == "https://ehr.example/fhir|Practitioner/example"
    assert found.fhirAuthorization.access_token == "t"
    assert "'t'" not in repr(found)


def test_users_of_two_systems_are_two_people() -> None:
    one, other = read(call()), read(call(fhirServer="https://other.example/fhir/"))
    assert one.user_key(None) != other.user_key(None)


@pytest.mark.parametrize(
    ("changed", "places"),
    [
        ({"fhirServer": None, "fhirAuthorization": TOKEN}, {None}),
        ({"fhirAuthorization": TOKEN | {"token_type": "MAC"}}, {"fhirAuthorization.token_type"}),
        ({"fhirAuthorization": TOKEN | {"access_token": "a\nb"}}, {"fhirAuthorization.access_token"}),
        ({"hookInstance": None, "context": None}, {"hookInstance", "context"}),
    ],
)
def test_everything_that_is_wrong_is_told_at_once(changed: dict[str, Any], places: set[str | None]) -> None:
    with pytest.raises(InvalidContent) as caught:
        read(call() | changed)
    assert {place for place, _ in caught.value.problems} == places
    assert "a\nb" not in str(caught.value.problems)


@pytest.mark.parametrize(
    ("context", "place"),
    [
        ({}, "context.draftOrders"),
        ({"draftOrders": {"resourceType": "List"}}, "context.draftOrders"),
        ({"draftOrders": {"resourceType": "Bundle", "entry": [{}]}}, "context.draftOrders.entry"),
        ({"draftOrders": {"resourceType": "Bundle"}}, "context.selections"),
    ],
)
def test_an_order_hook_brings_orders_and_a_selection(context: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        read(call("order-select", context=context), Hook.ORDER_SELECT)
    assert place in {element for element, _ in caught.value.problems}


@given(JSON)
def test_whatever_comes_is_read_or_refused(body: Any) -> None:
    for reader in (lambda content: read_call(content, Hook.ORDER_SIGN), read_feedback):
        with pytest.raises((InvalidContent, Malformed)):
            reader(orjson.dumps(body))


@given(st.binary())
def test_bytes_are_no_call(content: bytes) -> None:
    with pytest.raises((InvalidContent, Malformed)):
        read_feedback(content)
