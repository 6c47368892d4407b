"""How a change is answered: status, the version's headers, and as much of a body as the client prefers.

A `Link` header with the relation `related` (RFC 8288) leads from an ECG to its DiagnosticReport, so that a client needs
no search. A silent analysis has no link: it is not for clinicians.
"""

from typing import Any

import orjson
from fastapi import Response

from audit.records import Document
from interop.fhir.change import Changed, Effect
from interop.fhir.exchange import Exchange, version_headers
from interop.fhir.negotiation import Return
from interop.fhir.outcome import Issue, outcome

_WORDS = {
    Effect.CREATED: "Stored.",
    Effect.UPDATED: "Stored as a new version.",
    Effect.UNCHANGED: "It was here already.",
    Effect.DELETED: "Deleted; its history stays.",
}


def answer(exchange: Exchange, changed: Changed) -> Response:
    """The answer to one change."""
    document, headers = changed.document, dict[str, str]()
    if document is not None:
        headers = version_headers(document)
    if document is not None and changed.effect is not Effect.DELETED:
        headers["Location"] = exchange.location(document)
    if changed.report is not None:
        headers["Link"] = f'<{exchange.base}/DiagnosticReport/{changed.report.id}>; rel="related"'
    body = _body(exchange.preferences.returned, changed, document)
    status = 200 if body and changed.effect is Effect.DELETED else changed.effect.status
    return exchange.answer(body, status, headers)


def told(changed: Changed) -> dict[str, Any]:
    """The outcome in words."""
    issues = [Issue("information", "informational", _WORDS[changed.effect])]
    if changed.report is not None:
        conclusion = orjson.loads(changed.report.content)["conclusion"]
        name = f"DiagnosticReport/{changed.report.id}"
        issues.append(Issue("information", "informational", f"{name}: {conclusion}"))
    return outcome(*issues)


def _body(returned: Return, changed: Changed, document: Document | None) -> bytes:
    if returned is Return.OPERATION_OUTCOME:
        return orjson.dumps(told(changed))
    if returned is Return.MINIMAL or document is None or document.deleted:
        return b""
    return document.content
