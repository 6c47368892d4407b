"""A hook call and a feedback as they come in (CDS Hooks 2.0, sections HTTP Request and Feedback), read and checked.

Everything that is wrong is told at once, each with its place in the JSON. What the specification adds later is let
pass: members that are not known are ignored.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, Self, TypeVar
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.errors import InvalidContent, Malformed
from interop.cds_hooks.services import Hook
from interop.resources.codes import Json

# FHIR R4, datatypes.html#id and references.html: `Practitioner/123`.
FhirId = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-.]{1,64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z]{1,64}/[A-Za-z0-9\-.]{1,64}$")]
MAX_FEEDBACK = 100
_IN_ORDER_HOOKS = "draftOrders"

Model = TypeVar("Model", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class FhirAuthorization(_Part):
    """How to read from the EHR's FHIR server. expires_in: seconds from the call on."""

    access_token: Annotated[str, Field(min_length=1, pattern=r"^[\x21-\x7e]+$", repr=False)]
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(ge=0)]
    scope: str
    subject: str


class Context(_Part):
    """What the hooks of this door have in their context."""

    userId: Name  # noqa: N815 - CDS Hooks names it so
    patientId: FhirId  # noqa: N815
    encounterId: FhirId | None = None  # noqa: N815
    draftOrders: Json | None = None  # noqa: N815
    selections: tuple[str, ...] | None = None


class HookCall(_Part):
    """One call of a service."""

    hook: str
    hookInstance: UUID  # noqa: N815
    context: Context
    fhirServer: Annotated[str, Field(min_length=1, max_length=2000)] | None = None  # noqa: N815
    fhirAuthorization: FhirAuthorization | None = None  # noqa: N815
    prefetch: Mapping[str, Json | None] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _server_for_the_token(self) -> Self:
        if self.fhirAuthorization is not None and self.fhirServer is None:
            raise ValueError("fhirServer is required where fhirAuthorization is present")
        return self

    @property
    def server(self) -> str | None:
        """The EHR's FHIR base without a slash at the end."""
        return self.fhirServer.rstrip("/") if self.fhirServer else None

    def user_key(self, issuer: str | None) -> str:
        """The user, with the system that names them: equal names of two EHRs are two people."""
        return f"{self.server or issuer or ''}|{self.context.userId}"


class AcceptedSuggestion(_Part):
    """A suggestion that was taken, by its uuid."""

    id: Annotated[str, Field(min_length=1, max_length=200)]


class OverrideCode(_Part):
    """Why a card was overridden."""

    code: Annotated[str, Field(min_length=1, max_length=200)]
    system: str | None = None
    display: str | None = None


class OverrideReason(_Part):
    """The reason, of the card's own or in words."""

    reason: OverrideCode | None = None
    userComment: Annotated[str, Field(max_length=10_000)] | None = None  # noqa: N815


class Feedback(_Part):
    """What became of one card. acceptedSuggestions: required where it was accepted."""

    card: Annotated[str, Field(min_length=1, max_length=200)]
    outcome: Literal["accepted", "overridden"]
    outcomeTimestamp: AwareDatetime  # noqa: N815
    acceptedSuggestions: tuple[AcceptedSuggestion, ...] = ()  # noqa: N815
    overrideReason: OverrideReason | None = None  # noqa: N815

    @model_validator(mode="after")
    def _suggestions_of_the_accepted(self) -> Self:
        if self.outcome == "accepted" and not self.acceptedSuggestions:
            raise ValueError("acceptedSuggestions is required where the card was accepted")
        return self

    @property
    def at(self) -> datetime:
        """When, as the client says."""
        return self.outcomeTimestamp

    @property
    def reason(self) -> str | None:
        """The code of the reason."""
        given = self.overrideReason
        return None if given is None or given.reason is None else given.reason.code


class Feedbacks(_Part):
    """The body of a feedback call."""

    feedback: Annotated[tuple[Feedback, ...], Field(min_length=1, max_length=MAX_FEEDBACK)]


def read_call(content: bytes, hook: Hook) -> HookCall:
    """A call of a service of this hook. Raises Malformed for what is no JSON object, InvalidContent."""
    call = _read(HookCall, content)
    problems: list[tuple[str | None, str]] = []
    if call.hook != hook:
        problems.append(("hook", f"this service is for the hook {hook}, not {call.hook[:64]!r}"))
    if hook is Hook.ENCOUNTER_START and call.context.encounterId is None:
        problems.append(("context.encounterId", "is required"))
    if hook.is_of_orders:
        problems += _order_problems(call.context, hook)
    _refuse(problems)
    return call


def read_feedback(content: bytes) -> tuple[Feedback, ...]:
    """All feedback of one call. Raises Malformed, InvalidContent."""
    return _read(Feedbacks, content).feedback


def _order_problems(context: Context, hook: Hook) -> list[tuple[str | None, str]]:
    orders, place = context.draftOrders, f"context.{_IN_ORDER_HOOKS}"
    if orders is None:
        return [(place, "is required")]
    entries = orders.get("entry", [])
    problems: list[tuple[str | None, str]] = []
    if orders.get("resourceType") != "Bundle" or not isinstance(entries, list):
        problems.append((place, "a FHIR Bundle is needed"))
    elif not all(isinstance(one, dict) and isinstance(one.get("resource"), dict) for one in entries):
        problems.append((f"{place}.entry", "each entry needs a resource"))
    if hook is Hook.ORDER_SELECT and context.selections is None:
        problems.append(("context.selections", "is required"))
    return problems


def _read(model: type[Model], content: bytes) -> Model:
    """Parsed by orjson: Python's own takes NaN, and of two equal keys orjson takes the last as pydantic would."""
    try:
        raw = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise Malformed("a JSON object is needed")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = [(".".join(map(str, found["loc"])) or None, found["msg"]) for found in error.errors()]
        raise InvalidContent(
            problems[0][1], element=problems[0][0], problems=problems
        ) from None  # pydantic's text repeats what came in


def _refuse(problems: Sequence[tuple[str | None, str]]) -> None:
    if problems:
        element, text = problems[0]
        raise InvalidContent(text, element=element, problems=problems)
