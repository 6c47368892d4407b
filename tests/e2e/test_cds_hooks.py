"""CDS Hooks against the running service: as an EHR with a FHIR server, as the public sandbox, and from a browser."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import httpx
import jwt
import orjson

from interop.client import PATIENT_SYSTEM, hook_call
from tests.bench.figures import quantile
from tests.e2e.chromium import Tab, browser
from tests.e2e.conftest import Service, running
from tests.interop.cds_hooks.ehr import ec_key, jwk
from tests.interop.cds_hooks.hooks import check
from tests.interop.service import real_ecg

__all__ = ["browser"]

FHIR = {"Content-Type": "application/fhir+json"}
SERVICE = "/cds-services/ecg-patient-view"


def recent() -> Any:
    """A hook call with an ECG that was recorded just now."""
    recording = real_ecg()
    object.__setattr__(recording, "recorded_at", datetime.now(UTC) - timedelta(minutes=3))
    return orjson.loads(hook_call(recording, f"H-{uuid4().hex[:8]}"))


def test_what_is_not_in_the_prefetch_is_read_from_the_fhir_server_of_the_call(service: Service, tmp_path: Path) -> None:
    """The EHR is another instance of this service: it has the Patient and the ECG."""
    body = recent()
    patient, bundle = body.pop("prefetch").values()
    (entry,) = bundle["entry"]
    with running(tmp_path) as ehr:
        put = httpx.put(f"{ehr.url}/fhir/Patient/{patient['id']}", json=patient, headers=FHIR)
        assert put.status_code == 201
        posted = httpx.post(f"{ehr.url}/fhir/Observation", json=entry["resource"], headers=FHIR)
        assert posted.status_code == 201
        access = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "s", "subject": "me"}
        call = body | {"fhirServer": f"{ehr.url}/fhir", "fhirAuthorization": access}
        answer = httpx.post(f"{service.url}{SERVICE}", json=call)
        assert answer.status_code == 200, answer.text
        check(answer.json())
        (card,) = answer.json()["cards"]
        assert card["indicator"] == "critical"
    gone = httpx.post(f"{service.url}{SERVICE}", json=call)
    assert gone.status_code == 412
    assert gone.json()["resourceType"] == "OperationOutcome"


def test_an_ecg_that_came_by_fhir_is_told_of_and_its_links_lead_somewhere(service: Service) -> None:
    body = recent()
    (entry,) = body["prefetch"]["ecgs"]["entry"]
    number = body["prefetch"]["patient"]["identifier"][0]
    assert number["system"] == PATIENT_SYSTEM
    posted = httpx.post(
        f"{service.url}/fhir/Observation", json=entry["resource"] | {"subject": {"identifier": number}}, headers=FHIR
    )
    assert posted.status_code == 201
    body["prefetch"]["ecgs"] = None
    (card,) = httpx.post(f"{service.url}{SERVICE}", json=body).json()["cards"]
    for link in card["links"]:
        assert link["url"].startswith(service.url)
        assert httpx.get(link["url"]).status_code == 200


def test_a_call_as_the_public_sandbox_makes_it(service: Service) -> None:
    """Its content type has a charset, it signs every call, and it gives feedback."""
    headers = {
        "Content-Type": "application/json;charset=UTF-8",
        "Authorization": f"Bearer {jwt.encode({'iss': 'https://sandbox.cds-hooks.org'}, ec_key(), 'ES384')}",
        "Origin": "https://sandbox.cds-hooks.org",
        "Accept": "application/json, text/plain, */*",
    }
    body = recent() | {"fhirServer": "https://launch.smarthealthit.org/v/r2/fhir"}
    body["context"]["userId"] = "Practitioner/COREPRACTITIONER1"
    answer = httpx.post(f"{service.url}{SERVICE}", content=json.dumps(body), headers=headers)
    assert answer.status_code == 200, answer.text
    (card,) = answer.json()["cards"]
    given = {
        "card": card["uuid"],
        "outcome": "accepted",
        "acceptedSuggestions": [{"id": card["suggestions"][0]["uuid"]}],
        "outcomeTimestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    told = httpx.post(f"{service.url}{SERVICE}/feedback", json={"feedback": [given]}, headers=headers)
    assert (told.status_code, told.json()) == (200, {})


def test_with_clients_named_only_they_may_call_and_each_token_once(tmp_path: Path) -> None:
    file = tmp_path / "clients.json"
    file.write_bytes(orjson.dumps([{"iss": "https://ehr.example", "jwks": {"keys": [jwk(ec_key(), "k")]}}]))
    public = "https://ecg.example"
    with running(tmp_path, cds_clients=str(file), public_url=public) as service:
        url = f"{service.url}{SERVICE}"
        now = datetime.now(UTC)
        claims = {
            "iss": "https://ehr.example",
            "aud": f"{public}{SERVICE}",
            "iat": now,
            "exp": now + timedelta(minutes=5),
            "jti": "1",
        }

        def post(path: str = "", **headers: str) -> httpx.Response:
            return httpx.post(f"{url}{path}", json=recent(), headers=headers)

        token = jwt.encode(claims, ec_key(), "ES384", headers={"kid": "k"})
        assert httpx.get(f"{service.url}/cds-services").status_code == 200
        refused = post()
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert post(Authorization=f"Bearer {token}").status_code == 200
        assert post(Authorization=f"Bearer {token}").status_code == 401  # seen before
        assert post("/feedback", Authorization=f"Bearer {token}").status_code == 401
        assert token not in service.log


def test_a_page_of_another_origin_calls_where_it_is_named_and_nowhere_else(tmp_path: Path, browser: Tab) -> None:
    with page_of_an_ehr(orjson.dumps(recent())) as port:
        origin = f"http://127.0.0.1:{port}"
        with running(tmp_path, cors_origins=origin) as service:
            browser.open(f"{origin}/#{service.url}")
            found = told_by(browser)
            assert found["services"] == 4
            assert found["summary"].startswith("Activate cath lab?")
            assert found["feedback"] == 200
    with page_of_an_ehr(orjson.dumps(recent())) as port, running(tmp_path) as service:
        browser.open(f"http://127.0.0.1:{port}/#{service.url}")
        assert told_by(browser) == {"failed": "TypeError"}


def test_the_budgets_hold(service: Service) -> None:
    """Loosely, on whatever runs beside: `make bench` has the figures."""
    seconds = []
    with httpx.Client(base_url=service.url) as client:
        for _ in range(20):
            body = recent()
            for _ in range(2):  # first analysed on the way, then known
                answer = client.post(SERVICE, json=body)
                assert len(answer.json()["cards"]) == 1
                seconds.append(answer.elapsed.total_seconds())
    assert quantile(seconds, 0.5) < 0.5


PAGE = """<!doctype html><title>EHR</title><script>
const base = location.hash.slice(1), json = {"Content-Type": "application/json"};
const path = "/cds-services/ecg-patient-view";
async function call() {
  const found = await (await fetch(base + "/cds-services")).json();
  const body = JSON.stringify(HOOK);
  const {cards} = await (await fetch(base + path, {method: "POST", headers: json, body})).json();
  const outcome = {card: cards[0].uuid, outcome: "overridden", outcomeTimestamp: new Date().toISOString()};
  const told = await fetch(base + path + "/feedback",
    {method: "POST", headers: json, body: JSON.stringify({feedback: [outcome]})});
  return {services: found.services.length, summary: cards[0].summary, feedback: told.status};
}
window.result = call().catch(error => ({failed: error.name}));
</script>"""


@contextmanager
def page_of_an_ehr(hook: bytes) -> Iterator[int]:
    """A web server of another origin with a page that calls the service in the fragment of its URL; gives its port."""
    content = PAGE.replace("HOOK", hook.decode()).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()


def told_by(browser: Tab) -> Any:
    """What the page's call came to."""
    found = browser.call("Runtime.evaluate", expression="result", awaitPromise=True, returnByValue=True)
    return found["result"]["value"]
