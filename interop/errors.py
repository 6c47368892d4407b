"""One table: error code -> what each door answers.

HTTP status as FHIR R4 http.html and RFC 9110 define them, `issue` from the value set issue-type, `ack` from HL7 table
0008 and `condition` from table 0357 (HL7 v2.5.1 chapter 2). An error on our side is AE with 207, because a sender
keeps AE in its queue and tries again, while AR means never.
"""

from dataclasses import dataclass

from inference.errors import EcgError, InternalError


@dataclass(frozen=True, slots=True)
class Answer:
    """How one error reads at each door. condition: (code, text) of HL7 table 0357. retry_after in seconds. challenge:
    the `WWW-Authenticate` that a 401 must carry (RFC 9110 section 11.6.1)."""

    http_status: int
    issue: str
    ack: str
    condition: tuple[str, str]
    title: str
    retry_after: int | None = None
    challenge: str | None = None


SEGMENT_SEQUENCE = ("100", "Segment sequence error")
REQUIRED_FIELD = ("101", "Required field missing")
DATA_TYPE = ("102", "Data type error")
TABLE_VALUE = ("103", "Table value not found")
VALUE_TOO_LONG = ("104", "Value too long")
MESSAGE_TYPE = ("200", "Unsupported message type")
EVENT_CODE = ("201", "Unsupported event code")
PROCESSING_ID = ("202", "Unsupported processing id")
VERSION_ID = ("203", "Unsupported version id")
UNKNOWN_KEY = ("204", "Unknown key identifier")
DUPLICATE_KEY = ("205", "Duplicate key identifier")
APPLICATION_ERROR = ("207", "Application internal error")

RETRY_AFTER_SECONDS = 5  # long enough for a database fail-over to make progress, short enough for a waiting clinician

ANSWERS: dict[str, Answer] = {
    "malformed": Answer(400, "structure", "AE", SEGMENT_SEQUENCE, "Not readable"),
    "invalid": Answer(422, "invalid", "AE", DATA_TYPE, "Invalid content"),
    "required": Answer(422, "required", "AE", REQUIRED_FIELD, "Required element missing"),
    "patient-id-missing": Answer(422, "required", "AE", REQUIRED_FIELD, "Patient identifier missing"),
    "unit-missing": Answer(422, "required", "AE", REQUIRED_FIELD, "Unit missing"),
    "unit-unsupported": Answer(422, "code-invalid", "AE", TABLE_VALUE, "Unit not supported"),
    "sampling-rate-invalid": Answer(422, "value", "AE", DATA_TYPE, "Sampling rate missing or absurd"),
    "leads-missing": Answer(422, "required", "AE", REQUIRED_FIELD, "Leads missing"),
    "signal-malformed": Answer(422, "value", "AE", DATA_TYPE, "Signal not readable"),
    "signal-uninterpretable": Answer(422, "processing", "AA", APPLICATION_ERROR, "Signal cannot be interpreted"),
    "too-large": Answer(413, "too-long", "AR", VALUE_TOO_LONG, "Too large"),
    "media-type-unsupported": Answer(415, "not-supported", "AE", DATA_TYPE, "Media type not supported"),
    "not-acceptable": Answer(406, "not-supported", "AE", APPLICATION_ERROR, "Format not offered"),
    "resource-type-unknown": Answer(404, "not-supported", "AE", TABLE_VALUE, "Resource type not served"),
    "method-not-supported": Answer(405, "not-supported", "AE", TABLE_VALUE, "Interaction not supported"),
    "not-found": Answer(404, "not-found", "AE", UNKNOWN_KEY, "Not found"),
    "deleted": Answer(410, "deleted", "AE", UNKNOWN_KEY, "Deleted"),
    "search-invalid": Answer(400, "value", "AE", DATA_TYPE, "Search not possible"),
    "duplicate": Answer(409, "duplicate", "AR", DUPLICATE_KEY, "Duplicate"),
    "multiple-matches": Answer(412, "multiple-matches", "AE", DUPLICATE_KEY, "Several matches"),
    "version-conflict": Answer(412, "conflict", "AE", APPLICATION_ERROR, "Version conflict"),
    "unauthorized": Answer(401, "login", "AR", APPLICATION_ERROR, "Not authenticated", challenge="Bearer"),
    "data-missing": Answer(412, "not-found", "AE", UNKNOWN_KEY, "Data missing"),
    "control-id-missing": Answer(422, "required", "AE", REQUIRED_FIELD, "Message control id missing"),
    "control-id-reused": Answer(409, "duplicate", "AR", DUPLICATE_KEY, "Message control id reused"),
    "message-type-unsupported": Answer(422, "not-supported", "AR", MESSAGE_TYPE, "Message type not supported"),
    "event-unsupported": Answer(422, "not-supported", "AR", EVENT_CODE, "Event not supported"),
    "version-unsupported": Answer(422, "not-supported", "AR", VERSION_ID, "HL7 version not supported"),
    "processing-id-refused": Answer(422, "business-rule", "AR", PROCESSING_ID, "Processing id not accepted"),
    "storage-unavailable": Answer(
        503, "transient", "AE", APPLICATION_ERROR, "Storage unavailable", retry_after=RETRY_AFTER_SECONDS
    ),
    "model-unavailable": Answer(
        503, "transient", "AE", APPLICATION_ERROR, "Model unavailable", retry_after=RETRY_AFTER_SECONDS
    ),
    "overloaded": Answer(503, "throttled", "AE", APPLICATION_ERROR, "Overloaded", retry_after=RETRY_AFTER_SECONDS),
    "internal": Answer(500, "exception", "AE", APPLICATION_ERROR, "Internal error"),
    "configuration": Answer(500, "exception", "AE", APPLICATION_ERROR, "Configuration error"),
    "model-invalid": Answer(500, "exception", "AE", APPLICATION_ERROR, "Model invalid"),
    "policy-invalid": Answer(500, "exception", "AE", APPLICATION_ERROR, "Rules invalid"),
}


def answer_to(error: EcgError) -> Answer:
    """The row for an error. A code without a row is our defect and reads as an internal error."""
    return ANSWERS.get(error.code, ANSWERS[InternalError.code])
