"""The page of an ECG, through the application."""

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from actions.analysis import Mode, PolicyInfo
from actions.conclusion import NOT_ASSESSED
from inference.errors import StorageUnavailable
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import LEADS
from interop.pages.routes import page_path
from interop.problem import MEDIA_TYPE
from interop.record import Origin
from interop.resources.codes import OWN_OVERREAD_REASON_EXTENSION
from interop.resources.identifiers import Identifier
from interop.resources.report_words import SILENT_WORDS, STATUS_WORDS
from tests.conftest import ROOT
from tests.fakes import CANDIDATE, NOW, make_prediction
from tests.interop.pages.shown import Page, stored
from tests.interop.resources.cases import RECOMMENDATIONS, make_analysis, make_recording, uninterpretable
from tests.interop.service import FHIR_JSON, Service, observation, real_ecg, running

HTML = "text/html; charset=utf-8"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
POLICY = (
    r"default-src 'none'; style-src 'sha256-{}'; img-src 'none'; base-uri 'none'; form-action 'none'; "
    r"frame-ancestors 'none'"
)
ATTACKS = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=1">',
    "</style><script>alert(1)</script>",
    "</desc></svg><iframe srcdoc='<script>alert(1)</script>'>",
    "{{ 7 * 7 }}{% include 'ecg.html' %}",
    "javascript:alert(1)",
    "]]><!--",
    "' onmouseover='alert(1)",
)
HOSTILE = " ".join(ATTACKS)
OVERREAD = {"status": "final", "resultsInterpreter": [{"reference": "Practitioner/7"}]}


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def get(service: Service, id: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.get(page_path(id), headers=BROWSER | named)


def page(service: Service, id: str) -> Page:
    response = get(service, id)
    assert response.status_code == 200, response.text
    return Page(response.text)


def change(service: Service, path: str, **changed: Any) -> httpx.Response:
    current = service.client.get(f"/fhir/{path}").json()
    whole = orjson.dumps(current | changed)
    response = service.client.request("PUT", f"/fhir/{path}", content=whole, headers={"Content-Type": FHIR_JSON})
    assert response.status_code == 200, response.text
    return response


def test_a_clinician_finds_everything_about_an_analysed_ecg(service: Service) -> None:
    response = service.client.post(
        "/fhir/Observation", content=observation(real_ecg()), headers={"Content-Type": FHIR_JSON}
    )
    report = response.headers["link"].partition(">")[0].rpartition("/")[2]
    shown = page(service, report)
    fhir = service.client.get(f"/fhir/DiagnosticReport/{report}").json()
    assert fhir["conclusion"].splitlines()[0] in shown.text
    for expected in (
        STATUS_WORDS["preliminary"],
        "Patient/1",
        "Recorded 0 minutes ago.",
        "IMMEDIATE",
        "Activate cath lab",
        "proposal, not ordered",
        "Confidence 0.83, rule",
        "Source:",
        "fake-resnet 1.2.3 (champion)",
        service.intake.analyzer.policy.info.name,
        "No clinician has over-read this report yet.",
        "25 mm/s",
        NOT_ASSESSED,
    ):
        assert expected in shown.text, expected
    assert ["Myocardial infarction", "0.83", "0.30", "found"] in shown.rows
    assert ["Hypertrophy", "0.01", "0.30", "not found"] in shown.rows
    assert any(row[0] == "QRS duration" and row[1].endswith(" ms") for row in shown.rows)
    assert len(shown.all("svg")) == 1


def test_a_recommendation_says_how_urgent_it_is_why_and_how_sure(service: Service) -> None:
    text = page(service, stored(service)).text
    assert (
        "IMMEDIATE Activate cath lab State: proposal, not ordered If clinically acute; compare with the previous ECG. "
        "Confidence 0.83, rule mi-high. Source: ESC 2023"
    ) in text
    assert text.index("IMMEDIATE") < text.index("ROUTINE") < text.index("NONE Nothing to do")
    assert "NONE Nothing to do State: advice only, nothing to order" in text
    assert "Note: The age is unknown; adult is assumed." in text


def test_the_patient_is_named_as_the_report_does_it_and_not_in_the_title(service: Service) -> None:
    shown = page(service, stored(service))
    assert "77 (urn:oid:1.2), Patient/1" in shown.text
    assert "Doe" not in shown.html
    title = shown.html.partition("<title>")[2].partition("</title>")[0]
    assert "77" not in title.replace(str(make_analysis().id), "")


def test_the_recording_gets_older_and_the_page_says_so(service: Service) -> None:
    clock: Any = service.intake.clock
    report = stored(service)
    assert "Recorded 10 minutes ago." in page(service, report).text
    clock.now = NOW + timedelta(hours=3)
    assert "Recorded 3 hours ago." in page(service, report).text


def test_a_day_without_a_time_gets_no_hours(service: Service) -> None:
    body = observation(real_ecg(), effectiveDateTime="2026-03-02")
    response = service.client.post("/fhir/Observation", content=body, headers={"Content-Type": FHIR_JSON})
    text = page(service, response.headers["link"].partition(">")[0].rpartition("/")[2]).text
    assert "Recorded 2026-03-02 Age of the recording The time of day is not stated." in text
    assert "ago" not in text


def test_it_has_landmarks_headings_and_a_language_and_nothing_that_runs(service: Service) -> None:
    shown = page(service, stored(service))
    assert shown.all("html") == [{"lang": "en"}]
    assert {"header", "main", "footer", "nav", "h1", "h2", "table", "title"} <= shown.tags
    assert len(shown.all("h1")) == 1
    names = {one["id"] for one in shown.all("h2")}
    assert {one["aria-labelledby"] for one in shown.all("section")} == names
    assert all(one.get("scope") in ("col", "row") for one in shown.all("th"))
    assert shown.tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form", "link", "base"})
    assert [one for _, one in shown.elements if "style" in one or any(name.startswith("on") for name in one)] == []


def test_its_headers_let_it_load_nothing_and_keep_it_to_itself(service: Service) -> None:
    for response in (get(service, stored(service)), get(service, "none")):
        sheet = response.text.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
        assert response.headers["content-security-policy"] == POLICY.format(digest)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-type"] == HTML


def test_it_links_to_the_pdf_and_to_the_resource(service: Service) -> None:
    report = stored(service)
    *links, model = [one["href"] for one in page(service, report).all("a")]
    assert model == "/model"
    assert links == [f"/fhir/DiagnosticReport/{report}/$pdf", f"/fhir/DiagnosticReport/{report}?_pretty=true"]
    found = [service.client.get(link, headers=BROWSER) for link in links]
    assert [one.status_code for one in found] == [200, 200]
    assert found[0].headers["content-type"] == "application/pdf"


def test_links_go_where_the_service_is_reached() -> None:
    with running(public_url="https://hospital.example/ecg-service/") as service:
        first, _, last = page(service, stored(service)).all("a")
    assert first["href"].startswith("https://hospital.example/ecg-service/fhir/DiagnosticReport/")
    assert last["href"] == "https://hospital.example/ecg-service/model"


@pytest.mark.parametrize("id", ["none", "no_id!", "a/b", "", "x" * 65, "018f0000-0000-7000-8000-000000000fff", "%00"])
def test_what_is_not_there_is_a_small_page_for_people_and_a_problem_for_programs(service: Service, id: str) -> None:
    refused = get(service, id)
    assert (refused.status_code, refused.headers["content-type"]) == (404, HTML)
    assert Page(refused.text).all("h1") == [{}]
    assert len(refused.content) < 6000
    assert refused.headers["vary"].startswith("Accept")
    for accept in ("application/json", "application/problem+json, text/html;q=0.5", "image/png"):
        problem = get(service, id, Accept=accept)
        assert (problem.status_code, problem.headers["content-type"]) == (404, MEDIA_TYPE)
        assert problem.json()["code"] == "not-found"


def test_who_names_no_format_gets_the_page(service: Service) -> None:
    assert get(service, "none", Accept="*/*").headers["content-type"] == HTML


def test_a_store_that_does_not_answer_is_told_and_may_be_asked_again() -> None:
    def fail(_: object) -> None:
        raise StorageUnavailable("no answer from the database")

    with running(read_store=fail) as service:
        refused = get(service, "018f0000-0000-7000-8000-000000000abc", X_Request_Id="r-1")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "Storage unavailable" in refused.text
    assert "r-1" in refused.text


def test_a_withdrawn_report_says_so_and_proposes_nothing(service: Service) -> None:
    response = service.client.post(
        "/fhir/Observation", content=observation(real_ecg()), headers={"Content-Type": FHIR_JSON}
    )
    ecg = "/".join(response.headers["location"].split("/")[-4:-2])
    change(service, ecg, status="entered-in-error")
    report = response.headers["link"].partition(">")[0].rpartition("/")[2]
    shown = page(service, report)
    assert STATUS_WORDS["entered-in-error"] in shown.text
    assert "No action is proposed." in shown.text
    assert {"class": "status void"} in shown.all("p")


def test_an_ecg_that_could_not_be_interpreted_is_shown_with_the_reasons(service: Service) -> None:
    recording = make_recording(5000)
    recording = replace(recording, signal=np.zeros_like(recording.signal))
    shown = page(service, stored(service, recording, analysis=uninterpretable()))
    for expected in (
        STATUS_WORDS["cancelled"],
        "The ECG could not be interpreted: There is no ECG in the signal.",
        "No model was run.",
        "Model none was run",
        "No action is proposed.",
    ):
        assert expected in shown.text
    assert ["not readable", "all", "There is no ECG in the signal."] in shown.rows
    assert len(shown.all("svg")) == 1


def test_a_silent_report_is_marked(service: Service) -> None:
    assert SILENT_WORDS not in page(service, stored(service)).text
    with running(mode=Mode.SILENT) as silent:
        assert SILENT_WORDS in page(silent, stored(silent, analysis=make_analysis(mode=Mode.SILENT))).text


def test_who_over_read_it_and_what_became_of_the_proposals_is_told(service: Service) -> None:
    report = stored(service)
    reason = {"url": OWN_OVERREAD_REASON_EXTENSION, "valueString": "Seen with the patient."}
    before = service.client.get(f"/fhir/DiagnosticReport/{report}").json()
    change(
        service,
        f"DiagnosticReport/{report}",
        **OVERREAD,
        conclusion="Left bundle branch block.",
        conclusionCode=[{"coding": [{"system": "http://snomed.info/sct", "code": "44808001"}]}],
        extension=[*before["extension"], reason],
    )
    shown = page(service, report)
    for expected in (
        STATUS_WORDS["final"],
        "Left bundle branch block.",
        "The automatic analysis had concluded: Findings: myocardial infarction (probability 0.83).",
        "By Practitioner/7",
        "Status preliminary to final",
        "Conclusion concluded otherwise",
        "Reason Seen with the patient.",
        "State: revoked, follows from what the over-read found",
    ):
        assert expected in shown.text, expected
    assert len(shown.all("del")) == 1
    assert "PRELIMINARY" not in shown.text


def test_an_over_read_that_agrees_makes_the_proposals_active(service: Service) -> None:
    report = stored(service)
    change(service, f"DiagnosticReport/{report}", **OVERREAD)
    text = page(service, report).text
    assert "State: active, follows from what the over-read found" in text
    assert "concluded the same" in text
    assert "had concluded" not in text


def test_nothing_that_others_wrote_runs_or_leaves_its_place(service: Service) -> None:
    hostile = Identifier(HOSTILE, "urn:x:<script>alert(1)</script>")
    subject = {"reference": "Patient/1", "identifier": {"system": "urn:x:\"'><script>", "value": HOSTILE}}
    finding = QualityFinding(QualityCode.NOISE, Severity.WARNING, (LEADS[0], HOSTILE), HOSTILE)
    model = replace(CANDIDATE, name=HOSTILE, version=HOSTILE, waived=HOSTILE)
    named: dict[str, Any] = {"action": HOSTILE, "rule": HOSTILE, "rationale": HOSTILE, "source": HOSTILE}
    analysis = make_analysis(
        conclusion=HOSTILE,
        warnings=(HOSTILE + "1", HOSTILE),
        quality=QualityReport((finding,)),
        prediction=make_prediction(model, MI=0.83),
        recommendations=tuple(replace(one, **named) for one in RECOMMENDATIONS),
        policy=PolicyInfo(name=HOSTILE, version=HOSTILE, sha256="a" * 64),
    )
    origin = Origin(observation=None, subject=subject, placer_order_number=hostile, filler_order_number=hostile)
    report = stored(service, origin=origin, analysis=analysis)
    before = service.client.get(f"/fhir/DiagnosticReport/{report}").json()
    reader = {"identifier": {"system": "urn:x:reader", "value": HOSTILE}}
    reason = {"url": OWN_OVERREAD_REASON_EXTENSION, "valueString": HOSTILE}
    change(
        service,
        f"DiagnosticReport/{report}",
        status="final",
        resultsInterpreter=[reader],
        conclusion=f"Read: {HOSTILE}",
        extension=[*before["extension"], reason],
    )
    clean = page(service, stored(service, analysis=make_analysis(id=service.intake.ids())))
    hurt = page(service, report)
    assert hurt.tags <= clean.tags | {"del", "ul", "li"}
    assert hurt.tags.isdisjoint({"script", "img", "iframe"})
    assert [one for _, one in hurt.elements if any(name.startswith("on") for name in one)] == []
    assert hurt.text.count("<script>document.title='owned'</script>") >= 20
    assert "{{ 7 * 7 }}" in hurt.text
    assert {one["href"].partition("?")[0] for one in hurt.all("a")} == {
        f"/fhir/DiagnosticReport/{report}/$pdf",
        f"/fhir/DiagnosticReport/{report}",
        "/model",
    }


def test_the_page_is_for_people_and_in_no_description_for_programs(service: Service) -> None:
    assert not [path for path in service.client.get("/openapi.json").json()["paths"] if path.startswith("/ecg")]


def test_a_service_that_shows_no_page_has_loaded_no_templates() -> None:
    code = "import sys, interop.web; assert 'jinja2' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
