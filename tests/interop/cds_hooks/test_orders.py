"""What the newest ECG says against orders: one card for each order and rule, and nothing about other orders."""

from collections.abc import Iterator
from typing import Any

import pytest

from interop.cds_hooks.orders import drafts
from interop.cds_hooks.request import Context
from tests.fakes import NOW, make_prediction
from tests.interop.cds_hooks.hooks import HOUR, bundle, call, cards, ecg, feedback
from tests.interop.service import Service, running

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
HALOPERIDOL = {"coding": [{"system": RXNORM, "code": "5093", "display": "haloperidol"}]}
FEEDBACK = "/cds-services/ecg-order-sign/feedback"


def drug(name: str = "Haloperidol 5 MG Oral Tablet", *, id: str = "m-1", **changed: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": name},
    } | changed


def procedure(name: str = "Exercise stress test", *, id: str = "s-1") -> dict[str, Any]:
    return {"resourceType": "ServiceRequest", "id": id, "status": "draft", "intent": "order", "code": {"text": name}}


def long_qt(**changed: Any) -> dict[str, Any]:
    """The same heart, slower by two thirds: QTc is over 500 ms."""
    slow = ecg(NOW - HOUR, **changed)
    for component in slow["component"]:
        component["valueSampledData"]["period"] *= 5 / 3
    return slow


def signing(*orders: dict[str, Any], ecgs: tuple[dict[str, Any], ...] = (), **context: Any) -> dict[str, Any]:
    hook = "order-select" if "selections" in context else "order-sign"
    return call(hook, *(ecgs or (long_qt(),)), context={"draftOrders": bundle(*orders)} | context)


@pytest.fixture
def service() -> Iterator[Service]:
    with running(make_prediction(NORM=0.9)) as started:
        yield started


def test_a_qt_prolonging_drug_at_a_long_qtc_is_warned_about_with_the_numbers(service: Service) -> None:
    (card,) = cards(service, signing(drug()))
    assert card["indicator"] == "warning"
    assert card["summary"].startswith(
        "Haloperidol 5 MG Oral Tablet, QTc 527 ms: Choose a drug that does not prolong QT"
    )
    assert "QTc" in card["detail"]
    assert "ms" in card["detail"]
    assert card["source"]["topic"]["code"] == "qt-drug-qtc-over-500"
    (suggestion,) = card["suggestions"]
    assert suggestion["actions"] == [
        {
            "type": "delete",
            "description": f"Haloperidol 5 MG Oral Tablet: {card['source']['topic']['display']}",
            "resourceId": "MedicationRequest/m-1",
        }
    ]
    assert card["selectionBehavior"] == "at-most-one"


@pytest.mark.parametrize(
    "order",
    [
        drug(medicationCodeableConcept=HALOPERIDOL),
        drug(medicationCodeableConcept=None, medicationReference={"reference": "#drug"})
        | {"contained": [{"resourceType": "Medication", "id": "drug", "code": HALOPERIDOL}]},
        drug(
            medicationCodeableConcept=None, medicationReference={"reference": "Medication/x", "display": "haloperidol"}
        ),
    ],
    ids=["code", "contained", "display"],
)
def test_a_drug_is_known_by_code_by_reference_and_by_name(service: Service, order: dict[str, Any]) -> None:
    given = {name: value for name, value in order.items() if value is not None}
    assert len(cards(service, signing(given))) == 1


def test_a_drug_that_stands_beside_its_request_is_found(service: Service) -> None:
    medication = {"resourceType": "Medication", "id": "x", "code": HALOPERIDOL}
    request = drug(medicationReference={"reference": "Medication/x"})
    del request["medicationCodeableConcept"]
    assert len(cards(service, signing(request, medication))) == 1


@pytest.mark.parametrize(
    ("order", "ecgs"),
    [
        (drug("Paracetamol 500 mg"), ()),
        (drug(), (ecg(),)),  # its QTc is normal
        (drug(), (long_qt() | {"effectiveDateTime": (NOW - 1000 * HOUR).isoformat()},)),  # too old for the rule
        ({"resourceType": "NutritionOrder", "id": "n-1"}, ()),
    ],
    ids=["another drug", "another ECG", "an old ECG", "no drug"],
)
def test_nothing_is_said_of_other_orders(
    service: Service, order: dict[str, Any], ecgs: tuple[dict[str, Any], ...]
) -> None:
    assert cards(service, signing(order, ecgs=ecgs)) == []


def test_an_old_ecg_still_counts_for_as_long_as_the_rule_says_but_is_no_more_urgent_than_routine(
    service: Service,
) -> None:
    old = long_qt() | {"effectiveDateTime": (NOW - 100 * HOUR).isoformat()}
    (card,) = cards(service, signing(drug(), ecgs=(old,)))
    assert card["indicator"] == "info"
    assert cards(service, call("patient-view", old)) == []


def test_only_what_is_selected_counts_in_order_select(service: Service) -> None:
    orders = (drug(), drug("Sotalol 80 MG", id="m-2"))
    (card,) = cards(service, signing(*orders, selections=["MedicationRequest/m-2"]))
    assert card["summary"].startswith("Sotalol 80 MG")
    assert len(cards(service, signing(*orders))) == 2


def test_a_decision_about_one_drug_silences_that_drug_on_that_recording_only(service: Service) -> None:
    body = signing(drug())
    (card,) = cards(service, body)
    reason = {"reason": {"code": "not-appropriate"}}
    assert feedback(service, card, path=FEEDBACK, overrideReason=reason).status_code == 200
    assert cards(service, body) == []
    assert len(cards(service, signing(drug("Sotalol 80 MG")))) == 1
    newer = long_qt(id="o-2") | {"effectiveDateTime": NOW.isoformat()}
    assert len(cards(service, signing(drug(), ecgs=(newer,)))) == 1
    report = service.client.get("/monitoring/cards").json()
    (rule,) = [one for one in report["rules"] if one["rule"] == "qt-drug-qtc-over-500"]
    assert (rule["shown"], rule["overridden"], rule["override_reasons"]) == (3, 1, {"not-appropriate": 1})


def test_one_order_has_one_card_however_much_speaks_against_it(service: Service) -> None:
    (card,) = cards(service, signing(drug("Sotalol 80 MG")))
    assert "Choose a drug that does not prolong QT" in card["detail"]
    assert len(service.store.rows("SELECT rule FROM card_findings")) > 1
    assert len(card["suggestions"]) == 1


def test_a_stress_test_with_a_new_infarct_pattern_is_warned_about_and_one_with_an_old_pattern_is_not() -> None:
    with running(make_prediction(MI=0.9)) as service:
        (card,) = cards(service, signing(procedure(), ecgs=(ecg(),)))
        assert card["source"]["topic"]["code"] == "stress-test-new-infarct"
        both = (ecg(NOW - 40 * HOUR, id="o-0"), ecg())
        found = cards(service, signing(procedure(), ecgs=both))
        assert [one["source"]["topic"]["code"] for one in found] == []


def test_an_ecg_that_cannot_be_read_is_told_of_where_something_is_ordered(service: Service) -> None:
    broken = ecg()
    broken["component"] = broken["component"][:2]
    (card,) = cards(service, signing(drug(), ecgs=(broken,)))
    assert "could not be analysed" in card["summary"]
    assert cards(service, signing(ecgs=(broken,))) == []


def test_orders_of_no_form_are_passed_over() -> None:
    entries: list[Any] = [
        {"resource": {"resourceType": "MedicationRequest", "medicationCodeableConcept": "text"}},
        {"resource": {"resourceType": "MedicationRequest", "medicationCodeableConcept": {"coding": "x", "text": 3}}},
        {"resource": {"resourceType": "MedicationRequest", "medicationReference": "Medication/1", "contained": {}}},
        {"resource": {"resourceType": "ServiceRequest", "id": 7, "code": {"coding": [{"code": 5}, 3, {"display": 1}]}}},
    ]
    context = Context(userId="Practitioner/1", patientId="1", draftOrders={"resourceType": "Bundle", "entry": entries})
    (draft,) = drafts(context)
    assert (draft.reference, draft.name, draft.order.codings) == (None, "5", ((None, "5"),))
