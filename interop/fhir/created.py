"""How a create is answered: 201 or 200, the version's headers, and as much of a body as the client prefers.

A `Link` header with the relation `related` (RFC 8288) leads from the Observation to its DiagnosticReport, so that a
client needs no search. A silent analysis has no link: it is not for clinicians.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Response

from audit.records import Document
from interop.fhir.exchange import Exchange, version_headers
from interop.fhir.negotiation import Return
from interop.fhir.outcome import Issue, outcome


@dataclass(frozen=True, slots=True)
class Created:
    """The outcome of a create. report: None where there is none to show. new: False when it was here already."""

    observation: Document
    report: Document | None
    new: bool


def render(exchange: Exchange, created: Created) -> Response:
    """The answer. Location is there in both cases, as FHIR R4 asks."""
    headers = {"Location": exchange.location(created.observation), **version_headers(created.observation)}
    if created.report is not None:
        headers["Link"] = f'<{exchange.base}/DiagnosticReport/{created.report.id}>; rel="related"'
    return exchange.answer(_body(exchange.preferences.returned, created), 201 if created.new else 200, headers)


def _body(returned: Return, created: Created) -> bytes:
    if returned is Return.MINIMAL:
        return b""
    return created.observation.content if returned is Return.REPRESENTATION else orjson.dumps(_told(created))


def _told(created: Created) -> dict[str, Any]:
    stored = "Stored." if created.new else "It was here already."
    issues = [Issue("information", "informational", stored)]
    if created.report is not None:
        conclusion = orjson.loads(created.report.content)["conclusion"]
        name = f"DiagnosticReport/{created.report.id}"
        issues.append(Issue("information", "informational", f"{name}: {conclusion}"))
    return outcome(*issues)
