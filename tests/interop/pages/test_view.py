"""What the page says, as values."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from actions.analysis import Analysis
from audit.packed import Plain
from audit.records import AnalysisRow, Document, OverreadRow
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from interop.pages.view import EcgPage, Standing, ecg_page
from interop.record import ecg_document
from interop.report_view import ReportView
from interop.resources.report import render
from tests.fakes import NOW, SequentialIds
from tests.interop.pages.shown import ORIGIN
from tests.interop.resources.cases import make_analysis, make_recording, uninterpretable

WINDOW = timedelta(hours=24)
ECG = ecg_document(make_recording(5000), origin=ORIGIN, id="ecg-1", at=NOW).document


def row(analysis: Analysis) -> AnalysisRow:
    return AnalysisRow(
        id=str(analysis.id), inbox_id=1, door="fhir", sender=None, analyzed_at=NOW, recorded_at=None,
        age=analysis.age, sex=analysis.sex.value, urgency="none", interpretable=True, mode="live",
        model_name=None, model_version=None, probabilities=None, detail=b"",
    )  # fmt: skip


def changed(document: Document, **members: Any) -> Document:
    """members: None takes one away."""
    raw = orjson.loads(document.content) | members
    return replace(document, body=Plain(orjson.dumps({name: one for name, one in raw.items() if one is not None})))


def view(
    analysis: Analysis, *, ecg: Document = ECG, overreads: tuple[OverreadRow, ...] = (), **report: Any
) -> ReportView:
    """report: members of the DiagnosticReport."""
    rendered = render(
        analysis, recording=make_recording(5000), origin=ORIGIN, observation_id="ecg-1", ids=SequentialIds()
    )
    return ReportView(
        report=changed(rendered.report.document, **report),
        analysis=row(analysis),
        ecg=ecg,
        requests=tuple(one.document for one in rendered.service_requests),
        measurements=tuple(one.document for one in rendered.observations),
        device=rendered.as_document(rendered.devices[1]).document if len(rendered.devices) > 1 else None,
        overreads=overreads,
    )


def shown(
    analysis: Analysis | None = None, requests: tuple[dict[str, Any], ...] | None = None, **given: Any
) -> EcgPage:
    """requests: members of the first ServiceRequests."""
    made = analysis or make_analysis()
    seen = view(made, **given)
    if requests is not None:
        documents = tuple(changed(one, **two) for one, two in zip(seen.requests, requests, strict=False))
        seen = replace(seen, requests=documents)
    return ecg_page(seen, made, now=NOW, acute_window=WINDOW)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("preliminary", Standing.UNCONFIRMED),
        ("partial", Standing.UNCONFIRMED),
        ("unknown", Standing.UNCONFIRMED),
        ("final", Standing.CONFIRMED),
        ("amended", Standing.CONFIRMED),
        ("cancelled", Standing.VOID),
        ("entered-in-error", Standing.VOID),
    ],
)
def test_only_what_a_clinician_has_read_looks_confirmed(status: str, expected: Standing) -> None:
    assert shown(status=status).standing is expected


def test_an_ecg_that_cannot_be_drawn_says_why_and_the_rest_is_shown() -> None:
    page = shown(ecg=changed(ECG, component=None))
    assert page.drawing is None
    assert page.undrawn
    assert page.conclusion == ("Findings: myocardial infarction (probability 0.83).",)


def test_warnings_are_told_once_and_findings_on_the_signal_in_their_table() -> None:
    finding = QualityFinding(QualityCode.NOISE, Severity.WARNING, ("V1", "V2"), "Noise hides P waves.")
    page = shown(make_analysis(quality=QualityReport((finding,)), warnings=("The age is unknown.", finding.text)))
    assert page.warnings == ("The age is unknown.",)
    assert page.conclusion == ("Findings: myocardial infarction (probability 0.83).",)
    (told,) = page.quality
    assert (told.severity, told.leads, told.text) == ("warning", "V1, V2", "Noise hides P waves.")


def test_actions_come_by_urgency_and_what_was_revoked_comes_after_them() -> None:
    page = shown(requests=({"status": "revoked"}, {"priority": "asap"}))
    assert [(one.urgency, one.state, one.tone) for one in page.actions] == [
        ("ASAP", "proposal, not ordered", "none"),
        ("IMMEDIATE", "revoked", "none"),
        ("NONE", "advice only, nothing to order", "none"),
    ]


@pytest.mark.parametrize(("status", "expected"), [("completed", "completed"), ("on-hold", "on-hold")])
def test_a_state_without_words_is_named_as_it_is(status: str, expected: str) -> None:
    assert shown(requests=({"status": status},)).actions[0].state == expected


def test_an_action_without_notes_is_shown_without_a_reason() -> None:
    first = shown(requests=({"note": None},)).actions[0]
    assert (first.name, first.rationale, first.details) == ("Activate cath lab", "", ())


def test_what_was_never_classified_has_no_probabilities_and_no_model() -> None:
    page = shown(uninterpretable())
    assert page.chances == ()
    assert ("Model", "none was run") in page.origin
    assert ("PR interval", "not measured") in page.measurements


def test_an_undated_recording_says_so() -> None:
    page = shown(make_analysis(recorded_at=None), effectiveDateTime=None)
    assert ("Recorded", "not stated") in page.facts
    assert ("Age of the recording", "The recording is undated.") in page.facts


def test_an_over_read_names_who_did_it_even_by_an_identifier_alone() -> None:
    detail = {"who": {"reference": None, "identifier": "urn:oid:1.9|88"}, "why": None}
    reading = OverreadRow(
        id="o-1", report_id="r-1", at=NOW, practitioner="urn:oid:1.9|88", status_before="preliminary",
        status_after="final", agreed=None, findings={}, detail=orjson.dumps(detail),
    )  # fmt: skip
    (told,) = shown(overreads=(reading,)).overreads
    assert (told.by, told.change, told.agreement, told.why) == (
        "urn:oid:1.9|88", "preliminary to final", "not told", "not stated",
    )  # fmt: skip
