"""What becomes of one MLLP frame: the straight line from its bytes to the bytes of the answer.

header checks -> seen before? -> decode in the lane -> the patient's turn -> analyze -> one transaction -> answer.

Nothing is answered before it is durable. A message that can never be read is stored as failed and answered AE or AR; a
failure on our side stores nothing and is answered AE 207, so that the sender keeps the message and tries again.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import orjson

from actions.analysis import Door
from audit.records import (
    AcknowledgementState,
    AuditEntry,
    AuditEvent,
    InboxRow,
    ProcessingState,
    QueueState,
    UnitOfWork,
)
from inference.errors import (
    ControlIdReused,
    Duplicate,
    EcgError,
    InternalError,
    Malformed,
    SenderError,
    ServiceError,
    TooLarge,
)
from interop.hl7.acceptance import check_header, is_acknowledgement
from interop.hl7.ack import Outcome, acknowledge
from interop.hl7.control_ids import control_id
from interop.hl7.identifiers import AssignedId
from interop.hl7.message import Header, parse, read_header
from interop.hl7.oru import DecodedEcg, decode, holds_waveform
from interop.hl7.senders import Senders
from interop.intake import Intake
from interop.logs import correlation, new_correlation_id
from interop.mllp.item import Item
from interop.mllp.marks import Marks
from interop.mllp.outbound import outbox_rows
from interop.passage import Passage
from interop.record import Origin
from interop.resources.identifiers import Identifier
from interop.settings import ReusedId, Settings
from interop.telemetry import Kind

log = logging.getLogger(__name__)

NAMED = frozenset({"ORU", "ADT"})  # message types that spans are named after


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back. answer: none, one or two HL7 messages in a row. inbox_id: whose acknowledgement it is."""

    answer: bytes
    inbox_id: int | None = None


class Handler:
    """Takes messages in. on_queued is called after a result has been put into the outbox."""

    def __init__(
        self, intake: Intake, settings: Settings, senders: Senders, on_queued: Callable[[], None] = lambda: None
    ) -> None:
        self._intake = intake
        self._settings = settings
        self._senders = senders
        self._on_queued = on_queued
        self._marks = Marks(intake)

    async def handle(self, content: bytes) -> Reply:
        """Take one message in and give back what to answer. Every failure is an answer, none is raised."""
        item = self._item(content)
        if item.readable_header is not None and is_acknowledgement(item.readable_header, content):
            log.warning("an acknowledgement came in where messages are expected; it is not answered")
            return Reply(b"")
        return await self._guarded(item, lambda: self._answered(item))

    async def refuse_oversize(self, head: bytes) -> Reply:
        """Answer a message of which only the head was kept."""
        item = self._item(head)
        error = TooLarge(f"the message is larger than {self._settings.mllp_max_bytes} bytes")
        return await self._guarded(item, lambda: self._failed(item, error))

    def mark(self, inbox_id: int, *, delivered: bool) -> asyncio.Future[None]:
        """Record whether the answer reached the sender's connection; done when that is stored."""
        state = AcknowledgementState.DELIVERED if delivered else AcknowledgementState.UNDELIVERED
        return self._marks.mark(inbox_id, state)

    def _item(self, content: bytes) -> Item:
        header = _header(content)
        sender = header.sender if isinstance(header, Header) else None
        context = self._intake.context(Door.MLLP, new_correlation_id(), sender)
        correlation.set(context.correlation_id)
        self._intake.metrics.received(Door.MLLP)
        return Item(content=content, context=context, header=header)

    async def _guarded(self, item: Item, work: Callable[[], Awaitable[Reply]]) -> Reply:
        try:
            with self._intake.tracing.span(_named(item), {"ecg.door": Door.MLLP}, kind=Kind.SERVER):
                return await work()
        except ServiceError as error:
            return self._unavailable(item, error)
        except Exception as error:
            # The sender must hear of our defect instead of waiting for ever; the log holds where it is.
            log.exception("defect while taking a message in")
            failure = InternalError("internal error")
            failure.__cause__ = error
            return self._unavailable(item, failure)

    def _unavailable(self, item: Item, error: ServiceError) -> Reply:
        """Our side failed and nothing is stored."""
        self._intake.metrics.refused(Door.MLLP, error.code)
        log.error("message not taken", extra={"code": error.code})
        return Reply(self._answer(item, Outcome(error=error, stored=False)))

    async def _answered(self, item: Item) -> Reply:
        started = perf_counter()
        try:
            if self._holds_no_ecg(item):
                reply = await self._ignored(item, looked_up=False)
            else:
                reply = await self._earlier(item) or await self._taken(item)
        except Duplicate as error:
            # The same message came in on another connection at the same time, and that one was first.
            earlier = await self._earlier(item)
            if earlier is None:
                raise InternalError("a duplicate without its original") from error
            reply = earlier
        except SenderError as error:
            return await self._failed(item, error)
        self._intake.metrics.answered(Door.MLLP, perf_counter() - started)
        return reply

    async def _earlier(self, item: Item) -> Reply | None:
        """The answer to the same message when it has come before. Raises ControlIdReused."""
        wanted = item.control_id
        if wanted is None:
            return None
        rows = await self._intake.read(lambda reader: reader.inbox.find(Door.MLLP, item.context.sender, wanted))
        same = self._same(item, rows)
        if same is None:
            return None
        self._intake.metrics.duplicate(Door.MLLP)
        return Reply(same.answer or b"", same.id if same.answer else None)

    def _same(self, item: Item, rows: Sequence[InboxRow]) -> InboxRow | None:
        """The same message among those with its control id. Raises ControlIdReused."""
        digest = hashlib.sha256(item.content).hexdigest() if rows else ""
        same = next((row for row in rows if row.content_sha256 == digest), None)
        if same is None and rows and self._settings.mllp_reused_id is ReusedId.REFUSE:
            raise ControlIdReused("MSH-10 came before with other content", element="MSH-10")
        if same is None and rows:
            log.warning("MSH-10 came before with other content", extra={"inbox_id": rows[0].id})
        return same

    def _holds_no_ecg(self, item: Item) -> bool:
        """By its header alone. Then nothing is saved by asking first whether it has come before."""
        header = item.readable_header
        if header is None or header.code == "ORU":
            return False
        try:
            check_header(header, self._senders.of(header.sender))
        except SenderError:
            return False
        return True

    async def _taken(self, item: Item) -> Reply:
        if isinstance(item.header, Malformed):
            raise item.header
        check_header(item.header, self._senders.of(item.header.sender))
        decoded = await self._intake.decode(lambda: self._decoded(item.content))
        if decoded is None:
            return await self._ignored(item, looked_up=True)
        async with self._intake.in_order(decoded.patient_key):
            return await self._analysed(item, decoded)

    def _decoded(self, content: bytes) -> DecodedEcg | None:
        message = parse(content)
        return decode(message, self._senders.of(message.header.sender)) if holds_waveform(message) else None

    async def _analysed(self, item: Item, decoded: DecodedEcg) -> Reply:
        origin, ids, clock = _origin(decoded), self._intake.ids, self._intake.clock

        outputs = await Passage(
            intake=self._intake,
            context=item.context,
            received=item.received(decoded.patient_key),
            origin=origin,
            read=lambda: decoded.recording,
            outbox=lambda found: outbox_rows(found, decoded, settings=self._settings, ids=ids, now=clock()),
        ).analysed()
        analysis = outputs.analysis
        answer = self._answer(item, Outcome(text="" if analysis.interpretable else analysis.conclusion))
        recorded = await self._intake.write(
            lambda uow: outputs.record(uow, answer=answer or None, acknowledgement=_owed(answer))
        )
        if recorded.created:
            self._intake.shadow(analysis, outputs.recording)
        if any(row.state is QueueState.WAITING for row in outputs.outbox):
            self._on_queued()
        log.info("message analysed", extra={"analysis_id": str(analysis.id), "inbox_id": recorded.inbox_id})
        return Reply(answer, recorded.inbox_id if answer else None)

    async def _ignored(self, item: Item, *, looked_up: bool) -> Reply:
        answer = self._answer(item, Outcome())
        state, event = ProcessingState.NOTHING_TO_ANALYSE, AuditEvent.MESSAGE_IGNORED

        def store(uow: UnitOfWork) -> int:
            wanted = None if looked_up else item.control_id
            if wanted is not None and self._same(item, uow.inbox.find(Door.MLLP, item.context.sender, wanted)):
                raise Duplicate("this message was received before")
            return self._store(uow, item, state, event, answer, None)

        inbox_id = await self._intake.write(store)
        log.info("nothing to analyse", extra={"inbox_id": inbox_id})
        return Reply(answer, inbox_id if answer else None)

    async def _failed(self, item: Item, error: SenderError) -> Reply:
        """Keep what cannot be read, so that nothing that came in is lost, then say so."""
        answer = self._answer(item, Outcome(error=error))
        state, event = ProcessingState.FAILED, AuditEvent.MESSAGE_FAILED
        try:
            inbox_id = await self._intake.write(lambda uow: self._store(uow, item, state, event, answer, error))
        except Duplicate:
            return await self._earlier(item) or Reply(answer)
        self._intake.metrics.refused(Door.MLLP, error.code)
        log.warning("message refused", extra={"code": error.code, "element": error.element, "inbox_id": inbox_id})
        return Reply(answer, inbox_id if answer else None)

    def _store(
        self,
        uow: UnitOfWork,
        item: Item,
        state: ProcessingState,
        event: AuditEvent,
        answer: bytes,
        error: EcgError | None,
    ) -> int:
        code = error.code if error else None
        inbox_id = uow.inbox.add(item.received(), state, _owed(answer), answer=answer or None, error=code)
        payload = {"door": Door.MLLP, "sender": item.context.sender, "error": code}
        entry = AuditEntry(
            event=event,
            recorded_at=self._intake.clock(),
            subject=f"inbox/{inbox_id}",
            correlation_id=item.context.correlation_id,
            payload=orjson.dumps(payload | {"element": error.element if error else None}),
        )
        uow.trail.append(entry)
        return inbox_id

    def _answer(self, item: Item, outcome: Outcome) -> bytes:
        def new_id() -> str:
            return control_id(self._intake.ids())

        return acknowledge(item.readable_header, outcome, created_at=self._intake.clock(), new_id=new_id)


def _named(item: Item) -> str:
    """A message type of the standard; what a sender made up must not name a span."""
    header = item.readable_header
    return f"MLLP {header.code}" if header is not None and header.code in NAMED else "MLLP"


def _header(content: bytes) -> Header | Malformed:
    try:
        return read_header(content)
    except Malformed as error:
        return error


def _owed(answer: bytes) -> AcknowledgementState:
    return AcknowledgementState.PENDING if answer else AcknowledgementState.NOT_OWED


def _origin(decoded: DecodedEcg) -> Origin:
    return Origin(
        observation=None,
        subject={"type": "Patient"} | decoded.patient.reference(),
        placer_order_number=_identifier(decoded.placer_order_number),
        filler_order_number=_identifier(decoded.filler_order_number),
    )


def _identifier(number: AssignedId | None) -> Identifier | None:
    return Identifier(system=number.system, value=number.value) if number else None
