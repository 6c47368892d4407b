import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actions.analysis import Urgency
from actions.policy import MAX_BYTES, load_policy, load_schema
from actions.rules import ConclusionKind, OrderGroup, OrderKind, OrderRule
from inference.errors import PolicyInvalid
from inference.labels import Superclass
from inference.measurements import Measurements
from inference.quality import QualityCode
from inference.recording import Sex

SHIPPED = resources.files("actions").joinpath("policy.json").read_bytes()

Document = dict[str, Any]
Write = Callable[[Document], Path]


@pytest.fixture
def document() -> Document:
    return cast(Document, json.loads(SHIPPED))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(content: Document) -> Path:
        path = tmp_path / "rules.json"
        path.write_text(json.dumps(content))
        return path

    return _write


def rule(document: Document, rule_id: str) -> Document:
    return cast(Document, next(r for r in document["rules"] if r["id"] == rule_id))


def test_the_shipped_rules_are_sound_and_carry_their_checksum() -> None:
    policy = load_policy()
    assert policy.info.name == "default"
    assert policy.info.sha256 == hashlib.sha256(SHIPPED).hexdigest()
    assert policy.mi_immediate_probability == 0.7


def test_every_shipped_rule_has_a_citation_with_a_doi() -> None:
    assert [r.id for r in load_policy().rules if "doi:10." not in r.source] == []


def test_every_shipped_order_rule_and_group_has_a_citation_with_a_doi() -> None:
    policy = load_policy()
    cited: list[OrderRule | OrderGroup] = [*policy.order_rules, *policy.order_groups.values()]
    assert [c.id for c in cited if "doi:10." not in c.source] == []


def test_every_abnormal_class_has_a_shipped_rule() -> None:
    assert {r.when.diagnosis for r in load_policy().rules} >= set(Superclass) - {Superclass.NORM}


def test_shipped_procedure_codes_are_the_two_that_were_looked_up() -> None:
    codes = {(r.code.code, r.code.display) for r in load_policy().rules if r.code}
    assert codes == {("268400002", "12 lead ECG"), ("40701008", "Echocardiography")}


def test_a_hospital_can_bring_its_own_file(document: Document, write: Write) -> None:
    document["name"] = "St. Elsewhere"
    document["settings"]["mi_immediate_probability"] = 0.8
    policy = load_policy(write(document))
    immediate = next(r for r in policy.rules if r.id == "mi-immediate")
    assert policy.info.name == "St. Elsewhere"
    assert (immediate.when.probability.at_least, immediate.urgency) == (0.8, Urgency.IMMEDIATE)


def test_every_shipped_order_code_says_where_it_was_verified_and_stands_beside_its_name(document: Document) -> None:
    for group_id, group in document["orders"]["groups"].items():
        assert all(code["verified"] for code in group["codes"])
        if group["kind"] == "medication":
            unnamed = [c for c in group["codes"] if not any(name in c["display"] for name in group["names"])]
            assert unnamed == [], group_id


def test_every_shipped_group_is_used_by_a_rule(document: Document) -> None:
    used = {group for rule in document["orders"]["rules"] for group in rule["orders"]}
    assert used == set(document["orders"]["groups"])


def test_an_order_rule_is_read_with_its_groups_and_its_window() -> None:
    policy = load_policy()
    found = next(rule for rule in policy.order_rules if rule.id == "stress-test-new-infarct")
    assert found.new
    assert found.within == timedelta(hours=48)
    assert found.when.diagnosis is Superclass.MI
    assert found.orders[0] is policy.order_groups["exercise-tests"]
    assert found.orders[0].kind is OrderKind.SERVICE
    probable = next(rule for rule in policy.order_rules if rule.id == "class-1c-drug-infarct-probable")
    assert (probable.when.probability.at_least, probable.new) == (policy.mi_immediate_probability, False)


def test_a_file_without_the_section_orders_keeps_working(document: Document, write: Write) -> None:
    del document["orders"]
    policy = load_policy(write(document))
    assert policy.rules
    assert (dict(policy.order_groups), policy.order_rules) == ({}, ())


def test_the_schema_knows_the_same_words_as_the_code() -> None:
    definitions = load_schema()["$defs"]
    when = definitions["when"]["properties"]
    assert definitions["superclass"]["enum"] == list(Superclass)
    assert (
        tuple(definitions["measurement"]["enum"]) == tuple(when["measurements"]["properties"]) == Measurements.__slots__
    )
    assert when["quality"]["items"]["enum"] == list(QualityCode)
    assert when["conclusion"]["enum"] == list(ConclusionKind)
    assert definitions["rule"]["properties"]["urgency"]["enum"] == list(Urgency)
    assert set(definitions["sex"]["enum"]) == set(Sex) - {Sex.UNKNOWN}
    assert definitions["order_group"]["properties"]["kind"]["enum"] == list(OrderKind)
    assert definitions["order_rule"]["properties"]["urgency"]["enum"] == [u for u in Urgency if u is not Urgency.NONE]
    assert set(definitions["order_when"]["properties"]) == set(when) - {"quality", "conclusion", "acute"} | {"new"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(urgency="now"), "rule 'mi-urgent' urgency: 'now' is not one of"),
        (lambda r: r.update(action="  "), "rule 'mi-urgent' action: '  ' does not match"),
        (lambda r: r.pop("source"), "rule 'mi-urgent': 'source' is a required property"),
        (lambda r: r.update(source=[]), "rule 'mi-urgent' source: [] should be non-empty"),
        (lambda r: r["when"].update(diagnosis="AFIB"), "rule 'mi-urgent' when.diagnosis: 'AFIB' is not one of"),
        (lambda r: r["when"].update(measurements={"rr": {"above": 1}}), "rule 'mi-urgent' when.measurements: "),
        (lambda r: r["when"].update(probability={"at_least": 7}), "rule 'mi-urgent' when.probability.at_least: 7 is "),
        (lambda r: r["when"].update(probability={"at_least": "high"}), "'mi_immediate_probability' was expected"),
        (lambda r: r["when"].update(weather="rain"), "rule 'mi-urgent' when: Additional properties"),
        (lambda r: r["when"].pop("diagnosis"), "rule 'mi-urgent' when: 'diagnosis' is a dependency of 'probability'"),
        (lambda r: r.update(code={"code": "268400002"}), "rule 'mi-urgent' code: 'display' is a required property"),
        (lambda r: r.update(code={"code": "268400002", "display": "12 lead ECG"}), "'verified' is a required"),
        (lambda r: r.update(id=""), "rule number 4 id: '' does not match"),
    ],
)
def test_a_fault_is_told_with_the_rule_and_the_place(
    document: Document, write: Write, change: Callable[[Document], Any], message: str
) -> None:
    change(rule(document, "mi-urgent"))
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(write(document))
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(urgency="none"), "order rule 'stress-test-new-infarct' urgency: 'none' is not one of"),
        (lambda r: r.update(action="x" * 100), "order rule 'stress-test-new-infarct' action: "),
        (lambda r: r.update(orders=[]), "order rule 'stress-test-new-infarct' orders: [] should be non-empty"),
        (lambda r: r.update(within_hours=0), "order rule 'stress-test-new-infarct' within_hours: 0 is less than or"),
        (lambda r: r.update(within_hours=1e300), "within_hours: 1e+300 is greater than"),
        (lambda r: r.pop("within_hours"), "'within_hours' is a required property"),
        (lambda r: r["when"].update(new=False), "order rule 'stress-test-new-infarct' when.new: True was expected"),
        (lambda r: r["when"].pop("diagnosis"), "'diagnosis' is a dependency of 'new'"),
        (lambda r: r["when"].update(quality=["noise"]), "order rule 'stress-test-new-infarct' when: Additional"),
        (lambda r: r["when"].update(acute=True), "order rule 'stress-test-new-infarct' when: Additional"),
        (lambda r: r.update(id=""), "order rule number 12 id: '' does not match"),
    ],
)
def test_a_fault_in_an_order_rule_is_told_with_the_rule_and_the_place(
    document: Document, write: Write, change: Callable[[Document], Any], message: str
) -> None:
    change(next(r for r in document["orders"]["rules"] if r["id"] == "stress-test-new-infarct"))
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(write(document))
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.update(kind="device"), "orders.groups.beta-blockers.kind: 'device' is not one of"),
        (lambda g: g.update(names=[]), "orders.groups.beta-blockers.names: [] should be non-empty"),
        (lambda g: g["codes"][0].pop("verified"), "orders.groups.beta-blockers.codes.0: 'verified' is a required"),
        (lambda g: g["codes"][0].update(system="atc"), "orders.groups.beta-blockers.codes.0.system: 'atc' does not"),
        (lambda g: g.pop("name"), "orders.groups.beta-blockers: 'name' is a required property"),
    ],
)
def test_a_fault_in_a_group_of_orders_is_told_with_its_place(
    document: Document, write: Write, change: Callable[[Document], Any], message: str
) -> None:
    change(document["orders"]["groups"]["beta-blockers"])
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(write(document))
    assert message in caught.value.message


def test_all_faults_of_form_are_told_at_once(document: Document, write: Write) -> None:
    rule(document, "mi-urgent")["urgency"] = "now"
    rule(document, "sttc")["action"] = ""
    del document["settings"]["wording"]["findings"]["HYP"]
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(write(document))
    for part in ("rule 'mi-urgent' urgency", "rule 'sttc' action", "settings.wording.findings"):
        assert part in caught.value.message


def test_all_faults_of_meaning_are_told_at_once(document: Document, write: Write) -> None:
    rule(document, "mi-urgent")["source"] = ["hearsay"]
    rule(document, "sttc")["id"] = "mi-urgent"
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(write(document))
    assert "'hearsay' is not in sources" in caught.value.message
    assert "the id is used 2 times" in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1, "a": 2}'])
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rules.json"
    path.write_bytes(content)
    with pytest.raises(PolicyInvalid, match="not JSON"):
        load_policy(path)


def test_a_key_given_twice_is_refused_because_half_a_rule_would_be_lost(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_bytes(SHIPPED.replace(b'"urgency": "immediate",', b'"urgency": "immediate", "urgency": "none",', 1))
    with pytest.raises(PolicyInvalid, match="urgency given twice"):
        load_policy(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalid, match=r"absent\.json: cannot be read: No such file"):
        load_policy(tmp_path / "absent.json")


def test_an_absurdly_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "rules.json"
    path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(PolicyInvalid, match="larger than"):
        load_policy(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)
RULE, ORDER_RULE, ORDER_GROUP = ("rules", 2), ("orders", "rules", 2), ("orders", "groups", "beta-blockers")
PLACES: list[tuple[str | int, ...]] = [
    *[RULE, (*RULE, "when"), (*RULE, "when", "probability"), ("settings",), ("sources",), ()],
    *[("orders",), ORDER_RULE, (*ORDER_RULE, "when"), (*ORDER_RULE, "within_hours"), (*ORDER_RULE, "orders")],
    *[("orders", "groups"), ORDER_GROUP, (*ORDER_GROUP, "names"), (*ORDER_GROUP, "codes")],
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_json_in_any_place_is_either_a_policy_or_a_clear_refusal(
    tmp_path: Path, place: tuple[str | int, ...], value: Any
) -> None:
    document: Any = json.loads(SHIPPED)
    if place:
        parent = document
        for step in place[:-1]:
            parent = parent[step]
        parent[place[-1]] = value
    else:
        document = value
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(document))
    with suppress(PolicyInvalid):
        assert load_policy(path).rules


def test_the_documentation_tells_every_shipped_rule_reference_and_condition() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "actions.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    document = json.loads(SHIPPED)
    for shipped in document["rules"]:
        row = rows[shipped["id"]]
        assert f"| {shipped['action']} | {shipped['urgency']} |" in row
        assert all(f"`{key}`" in row for key in shipped["source"])
    assert [key for key, citation in document["sources"].items() if f"| `{key}` | {citation} |" not in text] == []
    definitions = load_schema()["$defs"]
    told = [*definitions["when"]["properties"], *definitions["order_when"]["properties"]]
    told += [*definitions["order_rule"]["properties"], *definitions["order_group"]["properties"]]
    assert [name for name in told if f"`{name}`" not in text] == []


def test_the_documentation_tells_every_shipped_order_rule_and_group() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "actions.md").read_text()
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    orders = json.loads(SHIPPED)["orders"]
    for shipped in orders["rules"]:
        row = rows[shipped["id"]]
        assert f"| {shipped['action']} | {shipped['urgency']} |" in row
        assert f"| {shipped['within_hours']} |" in row
        assert all(f"`{key}`" in row for key in (*shipped["source"], *shipped["orders"]))
    for group_id, group in orders["groups"].items():
        assert f"| {group['name']} |" in rows[group_id]
        assert all(name in rows[group_id] for name in group["names"])
        assert all(f"`{key}`" in rows[group_id] for key in group["source"])


def test_the_rule_that_the_documentation_shows_is_accepted(document: Document, write: Write) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "actions.md").read_text()
    document["rules"].append(json.loads(text.split("```json")[1].split("```")[0]))
    document["sources"]["local-qt-pathway"] = "Local pathway, 2026."
    assert load_policy(write(document)).rules[-1].id == "qtc-over-480"


def test_the_section_orders_that_the_documentation_shows_is_accepted(document: Document, write: Write) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "actions.md").read_text()
    document |= json.loads(text.split("```json")[2].split("```")[0])
    document["sources"]["local-qt-pathway"] = "Local pathway, 2026."
    policy = load_policy(write(document))
    assert [rule.id for rule in policy.order_rules] == ["antiemetic-qtc-over-480"]
