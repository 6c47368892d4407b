"""The operations: what is neither a read nor a change of one resource (FHIR R4 operations.html)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson
from fastapi import APIRouter, Request, Response

from actions.analysis import Door
from audit.times import microseconds
from inference.errors import EcgError, Fault
from interop.fhir import everything
from interop.fhir.analyzing import Analyzing, argument
from interop.fhir.change import Change, Method
from interop.fhir.exchange import Exchange
from interop.fhir.interactions import Interactions
from interop.fhir.messages import Messages
from interop.fhir.negotiation import FHIR_JSON, TAKEN, check_content_type
from interop.fhir.outcome import Issue, outcome, outcome_of
from interop.fhir.parameters import INTERACTIONS
from interop.fhir.pdf_operation import PDF as PDF_TYPE
from interop.fhir.pdf_operation import ReportPdf
from interop.fhir.submission import read
from interop.intake import Intake
from interop.logs import correlation
from interop.settings import Settings

CORE = "http://hl7.org/fhir/OperationDefinition"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as the CapabilityStatement has it. definition: canonical URL."""

    name: str
    definition: str


VALIDATE = Operation("validate", f"{CORE}/Resource-validate")
EVERYTHING = Operation("everything", f"{CORE}/Patient-everything")
ANALYZE = Operation("analyze", "urn:ecg-interop:operation:observation-analyze")
PDF = Operation("pdf", "urn:ecg-interop:operation:diagnosticreport-pdf")
PROCESS_MESSAGE = Operation("process-message", f"{CORE}/MessageHeader-process-message")

SYSTEM: tuple[Operation, ...] = (PROCESS_MESSAGE,)
_OF_ONE_TYPE: Mapping[str, tuple[Operation, ...]] = {
    "Observation": (ANALYZE,),
    "Patient": (EVERYTHING,),
    "DiagnosticReport": (PDF,),
}
OF_TYPE: Mapping[str, tuple[Operation, ...]] = {kind: (VALIDATE, *_OF_ONE_TYPE.get(kind, ())) for kind in INTERACTIONS}

Handler = Callable[[Request], Awaitable[Response]]


class Operations:
    """Answers operations."""

    def __init__(self, intake: Intake, settings: Settings, interactions: Interactions) -> None:
        self._intake = intake
        self._settings = settings
        self._analyzing = Analyzing(intake)
        self._messages = Messages(intake, interactions)
        self._pdf = ReportPdf(intake, settings)

    async def analyze(self, request: Request) -> Response:
        """`POST Observation/$analyze`."""
        exchange = await self._posted(request)
        content = await request.body()
        context = self._intake.context(Door.FHIR, correlation.get())
        return exchange.answer(await self._analyzing(content, context, exchange.base))

    async def process_message(self, request: Request) -> Response:
        """`POST $process-message`."""
        exchange = await self._posted(request)
        content = await request.body()
        context = self._intake.context(Door.FHIR, correlation.get())
        now = microseconds(self._intake.clock())
        return exchange.answer(await self._messages(content, context, exchange.base, now))

    async def everything(self, request: Request) -> Response:
        """`GET Patient/[id]/$everything`."""
        exchange = Exchange.of(request, self._settings)
        name, pairs = request.path_params["id"], request.query_params.multi_items()
        return exchange.answer(
            await self._intake.read(lambda store: everything.everything(store, name, pairs, exchange.base))
        )

    async def pdf(self, request: Request) -> Response:
        """`GET DiagnosticReport/[id]/$pdf`."""
        return await self._pdf(request)

    async def validate(self, type: str, request: Request) -> Response:
        """`POST [type]/$validate`: 200 with what is wrong, as the operation's definition asks."""
        exchange = await self._posted(request)
        content = await request.body()
        return exchange.answer(await self._intake.decode(lambda: _validated(content, type)))

    async def _posted(self, request: Request) -> Exchange:
        check_content_type(request.headers.get("content-type"))
        return Exchange.of(request, self._settings)


def _validated(content: bytes, type: str) -> bytes:
    try:
        resource = argument(content, "resource", type)
        read(Change(method=Method.POST, type=type, content=resource))
    except EcgError as error:
        if error.fault is not Fault.SENDER:
            raise
        return outcome_of(error, correlation.get())
    return orjson.dumps(outcome(Issue("information", "informational", "It is valid, and would be taken.")))


def add_routes(router: APIRouter, operations: Operations) -> None:
    """Every operation."""
    _add(router, "/$process-message", operations.process_message, "POST", PROCESS_MESSAGE)
    _add(router, "/Observation/$analyze", operations.analyze, "POST", ANALYZE)
    _add(router, "/Patient/{id}/$everything", operations.everything, "GET", EVERYTHING)
    _add(router, "/DiagnosticReport/{id}/$pdf", operations.pdf, "GET", PDF, PDF_TYPE)
    for kind in INTERACTIONS:
        _add(router, f"/{kind}/$validate", _of_type(operations.validate, kind), "POST", VALIDATE)


def _of_type(handler: Callable[[str, Request], Awaitable[Response]], kind: str) -> Handler:
    async def endpoint(request: Request) -> Response:
        return await handler(kind, request)

    return endpoint


def _add(
    router: APIRouter, path: str, handler: Handler, method: str, operation: Operation, media_type: str = FHIR_JSON
) -> None:
    async def endpoint(request: Request) -> Response:
        return await handler(request)

    extra: dict[str, object] = {}
    if "{id}" in path:
        extra["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    if method == "POST":
        schema = {"content": {taken: {"schema": {"type": "object"}} for taken in TAKEN}}
        extra["requestBody"] = {"required": True, **schema}
    router.add_api_route(
        path,
        endpoint,
        methods=[method],
        name=f"${operation.name} {path}",
        response_class=Response,
        responses={200: {"content": {media_type: {}}}},
        openapi_extra=extra,
    )
