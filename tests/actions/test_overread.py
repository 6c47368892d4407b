from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from itertools import product
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.overread import (
    DecidedBy,
    Decision,
    Fate,
    Overread,
    Practitioner,
    Proposal,
    Reading,
    Report,
    RequestStatus,
    Statement,
    ground_truth,
    overread,
    representative,
    superclass_of,
)
from actions.report_status import TRANSITIONS, ReportStatus
from inference.errors import InvalidContent, MissingElement, VersionConflict
from inference.labels import CONCLUSION_CODES, ECG_NORMAL, SNOMED_CT, Coding, Superclass
from tests.fakes import NOW

S = ReportStatus
R = RequestStatus
C = Superclass

DEFINITIONS = orjson.loads(resources.files("interop.resources").joinpath("definitions.json").read_bytes())

MI, STTC, CD, HYP = (CONCLUSION_CODES[c] for c in (C.MI, C.STTC, C.CD, C.HYP))
# Left bundle branch block: a conduction disturbance, but under a code that is not the service's own.
LBBB = Coding(SNOMED_CT, "164909002", "Left bundle branch block")
ABNORMAL = (C.MI, C.STTC, C.CD, C.HYP)
UNKNOWN: dict[C, bool | None] = dict.fromkeys(C)

DOCTOR = Practitioner(reference="Practitioner/7")


def concluding(*codes: Coding, text: str | None = "As read.") -> Reading:
    return Reading(text=text, codes=codes)


def report(*proposals: Proposal, **given: Any) -> Report:
    """A preliminary report of an infarction, unless a test says otherwise."""
    fields: dict[str, Any] = {"id": "r1", "version": 3, "status": S.PRELIMINARY, "reading": concluding(MI)}
    return Report(**fields | {"proposals": proposals} | given)


def statement(*codes: Coding, **given: Any) -> Statement:
    """What a doctor states of version 3: final, unless a test says otherwise."""
    fields: dict[str, Any] = {"who": DOCTOR, "seen": 3, "at": NOW, "status": S.FINAL, "reading": concluding(*codes)}
    return Statement(**fields | given)


def proposal(diagnosis: C | None = C.MI, status: R = R.DRAFT, by: DecidedBy | None = None, id: str = "p1") -> Proposal:
    return Proposal(id=id, status=status, diagnosis=diagnosis, decided_by=by)


def statuses(outcome: Overread) -> Mapping[str, R]:
    return {fate.proposal_id: fate.after for fate in outcome.fates}


# The record


def test_a_confirmation_is_recorded_with_who_when_what_and_what_was_read() -> None:
    before, after = concluding(MI, text="Preliminary."), concluding(MI, text="Old infarct.")
    found = overread(report(reading=before), statement(reading=after, why="Seen in 2019."))
    assert found == Overread(
        report_id="r1",
        version=3,
        who=DOCTOR,
        at=NOW,
        status_before=S.PRELIMINARY,
        status_after=S.FINAL,
        before=before,
        after=after,
        agreed=True,
        why="Seen in 2019.",
        fates=(),
    )


def test_a_correction_while_preliminary_makes_the_report_final_and_is_no_agreement() -> None:
    found = overread(report(), statement(ECG_NORMAL))
    assert (found.status_after, found.agreed) == (S.FINAL, False)


@pytest.mark.parametrize(
    ("before", "after", "agreed"),
    [
        (concluding(MI, CD), concluding(CD, MI), True),
        (concluding(MI), Reading(codes=(replace(MI, display="Herzinfarkt"),)), True),
        (concluding(MI), concluding(MI, CD), False),
        (concluding(MI), concluding(replace(MI, system="urn:local")), False),
        (concluding(MI), concluding(), False),
        (concluding(MI), Reading(codes=(MI,), uncoded=("pericarditis?",)), False),
        (concluding(text="Inconclusive."), concluding(text=" Inconclusive. \n"), True),
        (concluding(text="Inconclusive."), concluding(text="Anterior STEMI."), False),
        (concluding(text=None), concluding(text=None), True),
    ],
)
def test_codes_tell_whether_the_clinician_agreed_and_words_only_where_there_are_none(
    before: Reading, after: Reading, agreed: bool
) -> None:
    assert overread(report(reading=before), statement(reading=after)).agreed is agreed


# Errors


@pytest.mark.parametrize(
    "who",
    [
        Practitioner(reference="Practitioner/7"),
        Practitioner(reference="PractitionerRole/a.b-9"),
        Practitioner(reference="Practitioner/7/_history/2"),
        Practitioner(reference="https://ehr.example/fhir/Practitioner/7"),
        Practitioner(reference="http://ehr.example/fhir/PractitionerRole/7"),
        Practitioner(identifier="urn:oid:1.2.276|4711"),
        Practitioner(reference="Practitioner/7", identifier="nobody"),
    ],
)
def test_a_practitioner_is_identified_by_reference_or_identifier(who: Practitioner) -> None:
    assert overread(report(), statement(MI, who=who)).who == who


@pytest.mark.parametrize(
    "who",
    [
        None,
        Practitioner(),
        Practitioner(reference=""),
        Practitioner(reference="Practitioner"),
        Practitioner(reference="Practitioner/"),
        Practitioner(reference="Practitioner/7\n"),
        Practitioner(reference="Practitioner/" + "7" * 65),
        Practitioner(reference="xPractitioner/7"),
        Practitioner(reference="ehr.example/Practitioner/7"),
        Practitioner(reference="#Practitioner/7"),
        Practitioner(reference="Organization/7", identifier="urn:oid:1.2.276|4711"),
        Practitioner(identifier=""),
        Practitioner(identifier="|"),
        Practitioner(identifier="|4711"),
        Practitioner(identifier="urn:oid:1.2.276|"),
        Practitioner(identifier="4711"),
        Practitioner(identifier="the ward|4711"),
    ],
)
def test_without_an_identified_practitioner_nothing_is_over_read(who: Practitioner | None) -> None:
    with pytest.raises(MissingElement, match="Practitioner") as refused:
        overread(report(), statement(MI, who=who))
    assert refused.value.element == "DiagnosticReport.resultsInterpreter"


@pytest.mark.parametrize(("seen", "told"), [(2, "version 2 was read"), (4, "version 4"), (None, "not told which")])
def test_another_version_than_the_current_one_is_a_conflict_even_where_the_move_is_not_allowed(
    seen: int | None, told: str
) -> None:
    for status in (S.FINAL, S.REGISTERED):
        with pytest.raises(VersionConflict, match=told):
            overread(report(), statement(MI, seen=seen, status=status))


@pytest.mark.parametrize(("before", "after"), list(product(S, S)))
def test_a_status_changes_as_the_table_says_and_not_otherwise(before: S, after: S) -> None:
    stored, stated = report(status=before), statement(MI, CD, status=after)
    if after in TRANSITIONS[before]:
        assert overread(stored, stated).status_after is after
    else:
        with pytest.raises(InvalidContent, match=f"is {before} cannot become {after};"):
            overread(stored, stated)


@pytest.mark.parametrize(
    "reading",
    [Reading(), Reading(text=" \n"), Reading(text="The ECG could not  be interpreted.")],
)
def test_an_ecg_that_no_software_could_read_needs_a_conclusion_of_the_clinicians_own(reading: Reading) -> None:
    cancelled = report(status=S.CANCELLED, reading=Reading(text="The ECG could not be interpreted."))
    with pytest.raises(MissingElement, match="clinician's own") as refused:
        overread(cancelled, statement(reading=reading))
    assert refused.value.element == "DiagnosticReport.conclusion"


@pytest.mark.parametrize(
    "reading",
    [
        Reading(text="Sinus rhythm, no ST elevation."),
        Reading(codes=(CD,)),
        Reading(text="The ECG could not be interpreted.", uncoded=("artefact",)),
    ],
)
def test_a_clinician_may_read_what_no_software_could_and_agrees_to_nothing_by_it(reading: Reading) -> None:
    cancelled = report(status=S.CANCELLED, reading=Reading(text="The ECG could not be interpreted."))
    found = overread(cancelled, statement(reading=reading))
    assert (found.status_after, found.agreed) == (S.FINAL, False)


def test_an_appended_report_keeps_every_earlier_code() -> None:
    final = report(status=S.FINAL, reading=concluding(MI, LBBB))
    assert overread(final, statement(CD, LBBB, MI, status=S.APPENDED)).status_after is S.APPENDED
    with pytest.raises(InvalidContent, match="every earlier conclusion code stays") as refused:
        overread(final, statement(MI, CD, status=S.APPENDED))
    assert refused.value.element == "DiagnosticReport.conclusionCode"


def test_the_time_of_an_over_read_needs_an_offset() -> None:
    with pytest.raises(ValueError, match="offset"):
        statement(MI, at=NOW.replace(tzinfo=None))


# The fate of the proposals


def test_the_statuses_of_requests_are_those_of_r4() -> None:
    assert [str(status) for status in R] == DEFINITIONS["ServiceRequest"]["status"]["codes"]


def test_a_confirmed_finding_makes_its_request_active_and_one_that_is_gone_revokes_it() -> None:
    stored = report(proposal(C.MI, id="mi"), proposal(C.CD, id="cd"), reading=concluding(MI, CD))
    assert overread(stored, statement(CD)).fates == (
        Fate(proposal_id="mi", before=R.DRAFT, after=R.REVOKED, decided_by=DecidedBy.FINDING),
        Fate(proposal_id="cd", before=R.DRAFT, after=R.ACTIVE, decided_by=DecidedBy.FINDING),
    )


@pytest.mark.parametrize(("diagnosis", "status"), [(C.MI, R.ACTIVE), (None, R.ACTIVE), (C.CD, R.REVOKED)])
def test_a_request_that_is_what_it_would_become_has_no_fate(diagnosis: C | None, status: R) -> None:
    assert overread(report(proposal(diagnosis, status, DecidedBy.FINDING)), statement(MI)).fates == ()


@pytest.mark.parametrize("after", [(LBBB,), (MI, LBBB), ()])
def test_a_request_waits_where_the_clinicians_codes_do_not_tell_of_its_finding(after: tuple[Coding, ...]) -> None:
    stored = report(proposal(C.CD), reading=concluding(CD))
    assert overread(stored, statement(*after)).fates == ()


@pytest.mark.parametrize(("after", "expected"), [((MI,), {"p1": R.ACTIVE}), ((ECG_NORMAL,), {})])
def test_a_request_without_a_finding_becomes_active_by_agreement_only(
    after: tuple[Coding, ...], expected: dict[str, R]
) -> None:
    assert statuses(overread(report(proposal(None)), statement(*after))) == expected


def test_agreement_confirms_a_finding_that_has_no_code_of_its_own_in_the_report() -> None:
    stored = report(proposal(C.NORM), reading=concluding(text="No assessed group was found."))
    agreed = statement(reading=concluding(text="No assessed group was found."))
    assert statuses(overread(stored, agreed)) == {"p1": R.ACTIVE}


@pytest.mark.parametrize("diagnosis", [C.MI, None])
@pytest.mark.parametrize("after", [MI, ECG_NORMAL])
@pytest.mark.parametrize(("decision", "expected"), [(Decision.ACCEPTED, R.ACTIVE), (Decision.DECLINED, R.REVOKED)])
def test_the_clinicians_word_decides_whatever_the_findings(
    diagnosis: C | None, after: Coding, decision: Decision, expected: R
) -> None:
    found = overread(report(proposal(diagnosis)), statement(after, decisions={"p1": decision}))
    assert found.fates == (Fate(proposal_id="p1", before=R.DRAFT, after=expected, decided_by=DecidedBy.CLINICIAN),)


@pytest.mark.parametrize(
    ("status", "by"),
    [(R.DRAFT, None), (R.ACTIVE, None), (R.ON_HOLD, None), (R.UNKNOWN, None)] + [(R.REVOKED, by) for by in DecidedBy],
)
def test_the_clinician_may_decide_on_every_request_that_is_not_settled(status: R, by: DecidedBy | None) -> None:
    for decision, after in ((Decision.ACCEPTED, R.ACTIVE), (Decision.DECLINED, R.REVOKED)):
        stated = statement(MI, decisions={"p1": decision})
        assert statuses(overread(report(proposal(status=status, by=by)), stated)) == {"p1": after}


@pytest.mark.parametrize("status", [R.COMPLETED, R.REVOKED, R.ENTERED_IN_ERROR])
@pytest.mark.parametrize("diagnosis", [C.MI, None])
@pytest.mark.parametrize(("after", "to"), [(MI, S.FINAL), (ECG_NORMAL, S.FINAL), (MI, S.ENTERED_IN_ERROR)])
def test_a_settled_request_is_left_alone(status: R, diagnosis: C | None, after: Coding, to: S) -> None:
    assert overread(report(proposal(diagnosis, status)), statement(after, status=to)).fates == ()


@pytest.mark.parametrize("status", [R.ON_HOLD, R.UNKNOWN])
@pytest.mark.parametrize("after", [MI, ECG_NORMAL])
def test_a_request_that_somebody_put_on_hold_does_not_follow_the_finding(status: R, after: Coding) -> None:
    assert overread(report(proposal(status=status)), statement(after)).fates == ()


@pytest.mark.parametrize("decision", list(Decision))
@pytest.mark.parametrize("status", [R.COMPLETED, R.REVOKED, R.ENTERED_IN_ERROR])
def test_a_decision_on_a_settled_request_is_refused_and_never_passed_over(decision: Decision, status: R) -> None:
    with pytest.raises(InvalidContent, match=f"ServiceRequest/p1 cannot be decided on: it is {status}") as refused:
        overread(report(proposal(status=status)), statement(MI, decisions={"p1": decision}))
    assert refused.value.element == "ServiceRequest.status"


def test_a_decision_on_a_request_of_another_report_is_refused() -> None:
    with pytest.raises(
        InvalidContent, match="ServiceRequest/p2 cannot be decided on: it is no proposal of this report"
    ):
        overread(report(proposal()), statement(MI, decisions={"p2": Decision.ACCEPTED}))


@pytest.mark.parametrize("status", [R.DRAFT, R.ACTIVE, R.ON_HOLD, R.UNKNOWN])
def test_the_proposals_of_a_withdrawn_report_are_void(status: R) -> None:
    withdrawn = overread(report(proposal(status=status)), statement(MI, status=S.ENTERED_IN_ERROR))
    assert statuses(withdrawn) == {"p1": R.ENTERED_IN_ERROR}
    assert not withdrawn.agreed


@pytest.mark.parametrize("by", list(DecidedBy))
def test_what_an_over_read_revoked_is_void_too_once_its_report_is_withdrawn(by: DecidedBy) -> None:
    stored = report(proposal(status=R.REVOKED, by=by), status=S.FINAL)
    assert statuses(overread(stored, statement(MI, status=S.ENTERED_IN_ERROR))) == {"p1": R.ENTERED_IN_ERROR}


def test_no_request_of_a_withdrawn_report_can_be_decided_on() -> None:
    with pytest.raises(InvalidContent, match="it is withdrawn with its report"):
        overread(report(proposal()), statement(MI, status=S.ENTERED_IN_ERROR, decisions={"p1": Decision.ACCEPTED}))


@pytest.mark.parametrize("to", [S.AMENDED, S.CORRECTED])
def test_a_correction_takes_back_what_the_first_reading_did(to: S) -> None:
    gone = overread(report(proposal(status=R.ACTIVE, by=DecidedBy.FINDING), status=S.FINAL), statement(HYP, status=to))
    assert statuses(gone) == {"p1": R.REVOKED}
    stored = report(proposal(status=R.REVOKED, by=DecidedBy.FINDING), status=S.FINAL, reading=concluding(HYP))
    assert statuses(overread(stored, statement(MI, HYP, status=to))) == {"p1": R.ACTIVE}


def test_a_correction_revokes_what_the_clinician_had_accepted_and_keeps_refused_what_was_refused() -> None:
    accepted = report(proposal(status=R.ACTIVE, by=DecidedBy.CLINICIAN), status=S.FINAL)
    assert statuses(overread(accepted, statement(HYP, status=S.CORRECTED))) == {"p1": R.REVOKED}
    refused = report(proposal(status=R.REVOKED, by=DecidedBy.CLINICIAN), status=S.FINAL, reading=concluding(HYP))
    assert overread(refused, statement(MI, status=S.CORRECTED)).fates == ()


@pytest.mark.parametrize("diagnosis", [C.MI, C.HYP, None])
@pytest.mark.parametrize("status", [R.DRAFT, R.ACTIVE, R.REVOKED])
@pytest.mark.parametrize("to", [S.AMENDED, S.CORRECTED, S.APPENDED])
def test_new_wording_of_the_same_findings_orders_and_revokes_nothing(diagnosis: C | None, status: R, to: S) -> None:
    stored = report(proposal(diagnosis, status, DecidedBy.FINDING), status=S.FINAL)
    assert overread(stored, statement(status=to, reading=concluding(MI, text="Old infarct."))).fates == ()


# The ground truth


def test_listed_classes_are_true_and_the_others_false_where_every_code_is_known() -> None:
    assert ground_truth(concluding(MI, CD)) == {C.NORM: False, C.MI: True, C.STTC: False, C.CD: True, C.HYP: False}


def test_a_normal_ecg_has_none_of_the_abnormal_classes() -> None:
    assert ground_truth(concluding(ECG_NORMAL)) == {c: c is C.NORM for c in C}


@pytest.mark.parametrize(
    "reading",
    [
        Reading(),
        Reading(text="Myocardial infarction."),
        concluding(LBBB),
        concluding(replace(MI, system="urn:local")),
        Reading(uncoded=("Myocardial infarction",)),
        concluding(ECG_NORMAL, MI),
    ],
)
def test_no_code_an_unknown_code_or_contradicting_codes_tell_nothing(reading: Reading) -> None:
    assert ground_truth(reading) == UNKNOWN


@pytest.mark.parametrize("beside", [Reading(codes=(MI, LBBB)), Reading(codes=(MI,), uncoded=("LBBB",))])
def test_beside_an_unknown_code_a_class_that_is_not_listed_is_unknown(beside: Reading) -> None:
    assert ground_truth(beside) == UNKNOWN | {C.MI: True, C.NORM: False}


def test_normal_beside_an_unknown_code_is_normal_and_no_more() -> None:
    assert ground_truth(concluding(ECG_NORMAL, LBBB)) == UNKNOWN | {C.NORM: True}


@given(st.sets(st.sampled_from([*CONCLUSION_CODES.values(), ECG_NORMAL, LBBB])), st.randoms())
def test_false_is_only_said_against_something_that_was_stated(codes: set[Coding], chance: Random) -> None:
    listed = sorted(codes, key=lambda _: chance.random())
    truth = ground_truth(concluding(*listed))
    assert set(truth) == set(C)
    named = {superclass_of(code) for code in codes} - {None}
    assert all(c in named for c in C if truth[c])
    if LBBB in codes:
        assert not any(truth[c] is False for c in ABNORMAL)
    if not named:
        assert truth == UNKNOWN


def test_the_truth_of_an_over_read_is_the_clinicians_and_a_withdrawn_report_tells_none() -> None:
    assert overread(report(), statement(CD)).truth == ground_truth(concluding(CD))
    assert overread(report(), statement(CD, status=S.ENTERED_IN_ERROR)).truth == UNKNOWN


def test_every_code_that_the_service_concludes_with_stands_for_its_class() -> None:
    assert {superclass_of(code): code for code in (*CONCLUSION_CODES.values(), ECG_NORMAL)} == CONCLUSION_CODES | {
        C.NORM: ECG_NORMAL
    }
    assert superclass_of(LBBB) is None


def test_of_several_translations_the_known_one_stands_for_the_concept() -> None:
    local = Coding("urn:local", "HI", "Herzinfarkt")
    assert representative([local, MI]) == MI
    assert representative([local, LBBB]) == local
    assert representative([]) is None
