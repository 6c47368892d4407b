"""What every door does with an ECG between reading and recording it: analysis and rendering, in one visit to the lane.

The ECG is rendered and everything packed in another thread while the model runs, which takes one core and not the
interpreter's lock. At any other time it would hold the analysis up: numpy gives the lock back with each of its
operations, and has to wait for it each time.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from actions.analysis import Analysis, RequestContext
from actions.ports import Ids
from audit.packed import Hashed, pack_and_hash
from audit.records import AcknowledgementState, QueueRow, Received, UnitOfWork
from inference.digest import signal_digest
from inference.recording import Recording
from interop.intake import Intake
from interop.record import (
    Origin,
    Prepared,
    PreparedEcg,
    Recorded,
    ecg_document,
    prepare,
    record,
    record_again,
)
from interop.resources.documents import Indexed
from interop.resources.identifiers import Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """One analysis with all that is ready to be recorded of it."""

    analysis: Analysis
    recording: Recording
    received: Received
    origin: Origin
    ids: Ids
    prepared: Prepared
    outbox: tuple[QueueRow, ...]

    def record(
        self,
        uow: UnitOfWork,
        *,
        answer: bytes | None = None,
        acknowledgement: AcknowledgementState = AcknowledgementState.NOT_OWED,
    ) -> Recorded:
        """Store it. Raises what `interop.record.record` raises."""
        return record(
            uow,
            analysis=self.analysis,
            recording=self.recording,
            received=self.received,
            origin=self.origin,
            ids=self.ids,
            answer=answer,
            outbox=self.outbox,
            acknowledgement=acknowledgement,
            prepared=self.prepared,
        )

    def record_again(self, uow: UnitOfWork, before: Sequence[Identifier]) -> Recorded:
        """Store it as the next version of its ECG. Raises what `interop.record.record_again` raises."""
        return record_again(
            uow,
            analysis=self.analysis,
            received=self.received,
            origin=self.origin,
            prepared=self.prepared,
            before=before,
        )


def _nothing(_: Analysis) -> tuple[QueueRow, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class _Packed:
    """What is made while the model runs: the received item and the ECG as they are stored."""

    content: Hashed
    ecg: Indexed


@dataclass(slots=True, kw_only=True)
class Passage:
    """One ECG on its way. read: gives the recording, in the lane. digest: of its signal, where it is known. outbox: the
    messages that the analysis sends out. id, version: of the ECG as a resource, where they are given."""

    intake: Intake
    context: RequestContext
    received: Received
    origin: Origin
    read: Callable[[], Recording]
    digest: str | None = None
    outbox: Callable[[Analysis], tuple[QueueRow, ...]] = _nothing
    id: str | None = None
    version: int = 1
    _packing: Future[_Packed] | None = field(default=None, init=False)

    async def analysed(self) -> Outputs:
        """Raises Overloaded, ModelUnavailable, and what `read` raises."""
        _, outputs = await self.intake.analyze_within(
            self.read, self.context, self._finish, meanwhile=self._meanwhile, digest=self.digest
        )
        return outputs

    def _meanwhile(self, recording: Recording) -> None:
        self._packing = self.intake.lane.beside(lambda: self._packed(recording))

    def _packed(self, recording: Recording) -> _Packed:
        content = pack_and_hash(self.received.content)  # first: it leaves the lock to the lane
        identity, at = self.id or str(self.intake.ids()), self.intake.clock()
        ecg = ecg_document(recording, origin=self.origin, id=identity, at=at, version=self.version)
        return _Packed(content, ecg.packed())

    def _finish(self, recording: Recording, analysis: Analysis) -> Outputs:
        assert self._packing is not None, "the lane is told of the recording before it finishes"
        packed = self._packing.result()
        digest = analysis.computed.digest if analysis.computed else self.digest or signal_digest(recording)
        ecg = PreparedEcg(observation=packed.ecg, digest=digest)
        prepared = prepare(analysis, recording=recording, origin=self.origin, ids=self.intake.ids, ecg=ecg)
        return Outputs(
            analysis=analysis,
            recording=recording,
            received=replace(self.received, packed=packed.content),
            origin=self.origin,
            ids=self.intake.ids,
            prepared=prepared,
            outbox=self.outbox(analysis),
        )
