"""`POST /fhir/Observation`: from the received JSON to a durable report, in one straight line."""

from dataclasses import dataclass
from time import perf_counter

from fastapi import APIRouter, Request, Response

from actions.analysis import Door, Mode, RequestContext
from audit.records import Criterion, Document, Documents, Received, Search
from inference.digest import signal_digest
from inference.errors import Duplicate, InvalidContent
from inference.recording import Recording
from interop.fhir import conditional
from interop.fhir.created import Created, render
from interop.fhir.exchange import Exchange
from interop.fhir.negotiation import FHIR_JSON, TAKEN, check_content_type
from interop.intake import Intake
from interop.logs import correlation
from interop.passage import Passage
from interop.record import Origin, Recorded, record, record_unanalysed
from interop.refusal import uninterpretable
from interop.resources.observation import ReceivedObservation, parse, to_recording
from interop.settings import Settings

RESPONSES: dict[int | str, dict[str, object]] = {
    201: {"description": "Stored with its DiagnosticReport; Location, ETag, Last-Modified", "content": {FHIR_JSON: {}}},
    **{
        status: {"description": text, "content": {FHIR_JSON: {}}}
        for status, text in {
            200: "The same Observation was here already",
            400: "Not readable",
            409: "Its identifier belongs to another ECG",
            412: "If-None-Exist matches several",
            415: "Not FHIR JSON",
            422: "Invalid, or a signal that nobody could interpret",
        }.items()
    },
}


@dataclass(frozen=True, slots=True)
class Submission:
    """One Observation on its way in. recording: None for one that was withdrawn, which is kept but never analysed.
    digest: of the signal."""

    content: bytes
    received: ReceivedObservation
    recording: Recording | None
    digest: str | None


class Create:
    """The interaction."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings

    async def __call__(self, request: Request) -> Response:
        """Answer one POST. Raises every error of `inference.errors` that a sender can cause, and those of our side."""
        exchange = Exchange.of(request, self._settings)
        check_content_type(request.headers.get("content-type"))
        content = await request.body()
        started = perf_counter()
        self._intake.metrics.received(Door.FHIR)
        context = self._intake.context(Door.FHIR, correlation.get())
        submission = await self._intake.decode(lambda: decoded(content))
        created = await self._once(request, exchange, submission, context)
        self._intake.metrics.answered(Door.FHIR, perf_counter() - started)
        return render(exchange, created)

    async def _once(
        self, request: Request, exchange: Exchange, submission: Submission, context: RequestContext
    ) -> Created:
        """What is here already, else what is made of it. Within one patient nothing overtakes in between."""
        identifiers = submission.received.identifiers
        header = request.headers.get(conditional.HEADER)
        criterion = conditional.condition(header, identifiers, exchange.base)
        async with self._intake.in_order(submission.received.patient_key):
            try:
                known = await self._known(submission, criterion)
                if known is None:
                    return await self._take_in(submission, context)
                self._intake.metrics.duplicate(Door.FHIR)
                return known
            except Duplicate:  # taken meanwhile, by another process or under another patient
                again = await self._matching(criterion)
                if again is None:
                    raise
                return again

    async def _known(self, submission: Submission, criterion: Criterion | None) -> Created | None:
        """Raises Duplicate when an identifier belongs to another signal, MultipleMatches."""
        if found := await self._matching(criterion):
            return found
        identifiers = submission.received.identifiers
        held = await self._intake.read(lambda store: conditional.holder(store.documents, identifiers))
        if held is None or submission.recording is None:
            return None
        if await self._intake.decode(lambda: stored_digest(held)) != submission.digest:
            raise Duplicate("the identifier belongs to an ECG with another signal", element="Observation.identifier")
        return await self._with_report(held)

    async def _matching(self, criterion: Criterion | None) -> Created | None:
        if criterion is None:
            return None
        found = await self._intake.read(lambda store: conditional.matching(store.documents, criterion))
        return None if found is None else await self._with_report(found)

    async def _with_report(self, held: Document) -> Created:
        report = await self._intake.read(lambda store: report_of(store.documents, held))
        return Created(observation=held, report=report, new=False)

    async def _take_in(self, submission: Submission, context: RequestContext) -> Created:
        received, recording = _item(submission, context), submission.recording
        if recording is None:
            return await self._keep(submission, received)
        origin = _origin(submission.received)
        analysis, outputs = await Passage(
            intake=self._intake,
            context=context,
            received=received,
            origin=origin,
            read=lambda: recording,
            digest=submission.digest,
        ).analysed()
        if not analysis.interpretable:
            raise uninterpretable(analysis, "Observation.component")
        recorded: Recorded = await self._intake.write(
            lambda uow: record(
                uow,
                analysis=analysis,
                recording=recording,
                received=outputs.received,
                origin=origin,
                ids=self._intake.ids,
                prepared=outputs.prepared,
            )
        )
        report = None if analysis.mode is Mode.SILENT else recorded.report
        return Created(observation=recorded.observation, report=report, new=recorded.created)

    async def _keep(self, submission: Submission, received: Received) -> Created:
        observation, new = await self._intake.write(
            lambda uow: record_unanalysed(
                uow,
                received=received,
                observation=submission.received,
                ids=self._intake.ids,
                at=received.received_at,
            )
        )
        return Created(observation=observation, report=None, new=new)


def add_route(router: APIRouter, create: Create) -> None:
    """`POST /Observation`."""

    async def endpoint(request: Request) -> Response:
        return await create(request)

    router.add_api_route(
        "/Observation",
        endpoint,
        methods=["POST"],
        name="create Observation",
        summary="Take an ECG in and analyse it",
        status_code=201,
        response_class=Response,
        responses=RESPONSES,
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "FHIR R4 Observation with one SampledData component a lead",
                "content": {media_type: {"schema": {"type": "object"}} for media_type in TAKEN},
            }
        },
    )


def decoded(content: bytes) -> Submission:
    """Parse and decode. Raises Malformed, InvalidContent and its children."""
    received = parse(content)
    if not received.is_waveform:
        raise InvalidContent(
            "only ECGs are taken: code LOINC 11524-6 or MDC 131328, one SampledData component a lead",
            element="Observation.code",
        )
    if received.withdrawn:
        return Submission(content, received, None, None)
    recording = to_recording(received)
    return Submission(content, received, recording, signal_digest(recording))


def stored_digest(document: Document) -> str | None:
    """The digest of the signal in a stored Observation; None for one that was kept without analysis."""
    received = parse(document.content)
    return None if received.withdrawn else signal_digest(to_recording(received))


def report_of(documents: Documents, observation: Document) -> Document | None:
    """The DiagnosticReport of an Observation, unless it has none or a silent one."""
    criterion = Criterion(name="result", alternatives=((None, f"Observation/{observation.id}"),))
    found = documents.search(Search(type="DiagnosticReport", criteria=(criterion,), count=1)).documents
    return found[0] if found else None


def _item(submission: Submission, context: RequestContext) -> Received:
    return Received(
        door=context.door,
        content=submission.content,
        media_type=FHIR_JSON,
        received_at=context.received_at,
        correlation_id=context.correlation_id,
        patient_key=submission.received.patient_key,
    )


def _origin(received: ReceivedObservation) -> Origin:
    return Origin(observation=received, subject=received.subject, observation_identifiers=received.identifiers)
