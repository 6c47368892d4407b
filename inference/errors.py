"""Every error that a door can answer, in one tree.

EcgError
├── SenderError                    the sender must change something before trying again
│   ├── Malformed                  the bytes are no JSON, no HL7 message, no known ECG file
│   ├── InvalidContent             readable, but breaks a rule of its format
│   │   ├── MissingElement         a required element is absent
│   │   │   └── MissingPatientId   no usable patient identifier (PID-3, subject)
│   │   ├── UnitMissing            an amplitude without a unit is refused, never guessed
│   │   ├── UnitUnsupported        a unit that is no voltage we know
│   │   ├── SamplingRateInvalid    sampling rate absent where it cannot be told, or absurd
│   │   ├── LeadsMissing           fewer than the eight independent leads
│   │   └── SignalMalformed        samples that are no numbers, or leads of different length
│   ├── UninterpretableSignal      decoded well, but no clinician could read it either
│   ├── TooLarge                   over the configured size limit
│   ├── UnsupportedMediaType       a body format that this door does not take
│   ├── NotAcceptable              an answer format that this door does not give
│   ├── UnknownResourceType        a FHIR resource type that is not served
│   ├── MethodNotSupported         an interaction that this resource does not have
│   ├── NotFound                   no such resource
│   ├── Gone                       it was deleted
│   ├── SearchInvalid              a search parameter or value that cannot be used
│   ├── Duplicate                  same identifier, other content
│   ├── MultipleMatches            a conditional create that matches several
│   ├── VersionConflict            the expected version is not the current one
│   ├── Unauthorized               the caller does not prove who it is
│   ├── DataMissing                what an answer needs was neither sent along nor to be read where the sender said
│   ├── ControlIdMissing           MSH-10 is empty
│   ├── ControlIdReused            MSH-10 seen before with other content (ECG_MLLP_REUSED_ID=refuse)
│   ├── MessageTypeUnsupported     MSH-9.1
│   ├── EventUnsupported           MSH-9.2
│   ├── MessageVersionUnsupported  MSH-12
│   └── ProcessingIdRefused        MSH-11 is not accepted for this sender
├── ServiceError                   our side failed; the same request may succeed later
│   ├── StorageUnavailable         the database is gone, locked or its disk is full
│   ├── ModelUnavailable           no verified model is loaded, or inference itself failed
│   ├── Overloaded                 queues are full; retry after a while
│   └── InternalError              a defect of ours
└── ConfigurationError             an operator must change a setting or a file; never seen at a door
    ├── ModelInvalid               a released model does not match its card or checksum
    └── PolicyInvalid              a rules file breaks its schema; names the rule
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Whose fault an error is, and so who has to act."""

    SENDER = "sender"
    SERVICE = "service"
    OPERATOR = "operator"


class EcgError(Exception):
    """Base of the tree. `code` is stable and documented; `element` names the offending place in the door's own terms
    (a FHIRPath expression such as `Observation.component[3].valueSampledData`, an HL7 location such as `PID-3`)."""

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = Fault.SERVICE

    def __init__(self, message: str, *, element: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.element = element


class SenderError(EcgError):
    code = "sender-error"
    fault = Fault.SENDER


class Malformed(SenderError):
    code = "malformed"


class InvalidContent(SenderError):
    """`problems` holds every (element, message) pair found, the first of them also in `element` and `message`."""

    code = "invalid"

    def __init__(
        self, message: str, *, element: str | None = None, problems: Sequence[tuple[str | None, str]] = ()
    ) -> None:
        super().__init__(message, element=element)
        self.problems = tuple(problems) or ((element, message),)


class MissingElement(InvalidContent):
    code = "required"


class MissingPatientId(MissingElement):
    code = "patient-id-missing"


class UnitMissing(InvalidContent):
    code = "unit-missing"


class UnitUnsupported(InvalidContent):
    code = "unit-unsupported"


class SamplingRateInvalid(InvalidContent):
    code = "sampling-rate-invalid"


class LeadsMissing(InvalidContent):
    code = "leads-missing"


class SignalMalformed(InvalidContent):
    code = "signal-malformed"


class UninterpretableSignal(SenderError):
    code = "signal-uninterpretable"


class TooLarge(SenderError):
    code = "too-large"


class UnsupportedMediaType(SenderError):
    code = "media-type-unsupported"


class NotAcceptable(SenderError):
    code = "not-acceptable"


class UnknownResourceType(SenderError):
    code = "resource-type-unknown"


class MethodNotSupported(SenderError):
    code = "method-not-supported"


class NotFound(SenderError):
    code = "not-found"


class Gone(SenderError):
    code = "deleted"


class SearchInvalid(SenderError):
    code = "search-invalid"


class Duplicate(SenderError):
    code = "duplicate"


class MultipleMatches(SenderError):
    code = "multiple-matches"


class VersionConflict(SenderError):
    code = "version-conflict"


class Unauthorized(SenderError):
    code = "unauthorized"


class DataMissing(SenderError):
    code = "data-missing"


class ControlIdMissing(SenderError):
    code = "control-id-missing"


class ControlIdReused(SenderError):
    code = "control-id-reused"


class MessageTypeUnsupported(SenderError):
    code = "message-type-unsupported"


class EventUnsupported(SenderError):
    code = "event-unsupported"


class MessageVersionUnsupported(SenderError):
    code = "version-unsupported"


class ProcessingIdRefused(SenderError):
    code = "processing-id-refused"


class ServiceError(EcgError):
    code = "service-error"


class StorageUnavailable(ServiceError):
    code = "storage-unavailable"


class ModelUnavailable(ServiceError):
    code = "model-unavailable"


class Overloaded(ServiceError):
    code = "overloaded"


class InternalError(ServiceError):
    code = "internal"


class ConfigurationError(EcgError):
    code = "configuration"
    fault = Fault.OPERATOR


class ModelInvalid(ConfigurationError):
    code = "model-invalid"


class PolicyInvalid(ConfigurationError):
    code = "policy-invalid"
