"""What every door does with an ECG between reading and recording it: analysis and rendering, in one visit to the lane.

Packing, which does not need the interpreter's lock, goes on beside the analysis. Anything that does need it would hold
the analysis up: numpy gives the lock back with each of its operations, and has to wait for it each time.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from actions.analysis import Analysis, RequestContext
from audit.packed import Hashed, Packed, pack, pack_and_hash
from audit.records import QueueRow, Received
from inference.digest import signal_digest
from inference.recording import Recording
from interop.intake import Intake
from interop.record import Origin, Prepared, PreparedEcg, prepare, render_ecg
from interop.resources.documents import Indexed


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is ready to be recorded of one analysis."""

    recording: Recording
    received: Received
    prepared: Prepared
    outbox: tuple[QueueRow, ...]


def _nothing(_: Analysis) -> tuple[QueueRow, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class _Packed:
    """What is made beside the analysis of an ECG."""

    content: Hashed
    ecg: Packed


@dataclass(slots=True, kw_only=True)
class Passage:
    """One ECG on its way. read: gives the recording, in the lane. digest: of its signal, where it is known. outbox: the
    messages that the analysis sends out."""

    intake: Intake
    context: RequestContext
    received: Received
    origin: Origin
    read: Callable[[], Recording]
    digest: str | None = None
    outbox: Callable[[Analysis], tuple[QueueRow, ...]] = _nothing
    _begun: tuple[Indexed, Future[_Packed]] | None = field(default=None, init=False)

    async def analysed(self) -> tuple[Analysis, Outputs]:
        """Raises Overloaded, ModelUnavailable, and what `read` raises."""
        return await self.intake.analyze_within(self._start, self.context, self._finish, self.digest)

    def _start(self) -> Recording:
        recording = self.read()
        identity, at = str(self.intake.ids()), self.intake.clock()
        ecg = render_ecg(recording, origin=self.origin, id=identity, at=at)
        self._begun = ecg, self.intake.lane.beside(lambda: self._pack(ecg))
        return recording

    def _pack(self, ecg: Indexed) -> _Packed:
        return _Packed(content=pack_and_hash(self.received.content), ecg=pack(ecg.document.content))

    def _finish(self, recording: Recording, analysis: Analysis) -> Outputs:
        assert self._begun is not None, "the lane reads before it finishes"
        observation, packing = self._begun
        packed = packing.result()
        digest = analysis.computed.digest if analysis.computed else self.digest or signal_digest(recording)
        ecg = PreparedEcg(observation=observation.packed(packed.ecg), digest=digest)
        prepared = prepare(analysis, recording=recording, origin=self.origin, ids=self.intake.ids, ecg=ecg)
        return Outputs(recording, replace(self.received, packed=packed.content), prepared, self.outbox(analysis))
