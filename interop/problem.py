"""Errors outside `/fhir`: problem details for HTTP APIs (RFC 9457)."""

from http import HTTPStatus

import orjson

from inference.errors import EcgError, InvalidContent
from interop.errors import answer_to

MEDIA_TYPE = "application/problem+json"


def problem(status: int, code: str, detail: str, correlation_id: str, **members: object) -> bytes:
    """A problem document.

    `type` is absent, which means about:blank; then RFC 9457 section 4.2.1 wants the status phrase as title. Our own
    members are `code` (stable, see docs/errors.md) and `correlation_id`.
    """
    document = {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": correlation_id,
    }
    return orjson.dumps(document | members)


def problem_of(error: EcgError, correlation_id: str) -> bytes:
    """The problem document of an error. `element`, or `errors` when there are several, tells what is wrong where."""
    members: dict[str, object] = {}
    if error.element is not None:
        members["element"] = error.element
    if isinstance(error, InvalidContent) and len(error.problems) > 1:
        members["errors"] = [{"element": element, "detail": text} for element, text in error.problems]
    return problem(answer_to(error).http_status, error.code, error.message, correlation_id, **members)
