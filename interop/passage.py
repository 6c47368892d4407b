"""What every door does with an ECG between reading and recording it: analysis and rendering, in one visit to the lane.

Packing, which does not need the interpreter's lock, goes on beside the analysis. Anything that does need it would hold
the analysis up: numpy gives the lock back with each of its operations, and has to wait for it each time.
"""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from actions.analysis import Analysis, RequestContext
from audit.packed import Packed, pack
from audit.records import QueueRow, Received
from inference.recording import Recording
from interop.intake import Intake
from interop.record import Origin, Prepared, PreparedEcg, prepare, prepare_ecg


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is ready to be recorded of one analysis."""

    recording: Recording
    received: Received
    prepared: Prepared
    outbox: tuple[QueueRow, ...]


def _nothing(_: Analysis) -> tuple[QueueRow, ...]:
    return ()


@dataclass(slots=True)
class _Beside:
    """What goes on beside the analysis of an ECG."""

    ecg: PreparedEcg
    packed_content: Future[Packed]
    packed_ecg: Future[Packed]


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
    _beside: _Beside | None = field(default=None, init=False)

    async def analysed(self) -> tuple[Analysis, Outputs]:
        """Raises Overloaded, ModelUnavailable, and what `read` raises."""
        return await self.intake.analyze_within(self._start, self.context, self._finish)

    def _start(self) -> Recording:
        recording, lane = self.read(), self.intake.lane
        identity, at = str(self.intake.ids()), self.intake.clock()
        ecg = prepare_ecg(recording, origin=self.origin, id=identity, at=at, digest=self.digest)
        self._beside = _Beside(
            ecg,
            lane.beside(lambda: pack(self.received.content)),
            lane.beside(lambda: pack(ecg.observation.document.content)),
        )
        return recording

    def _finish(self, recording: Recording, analysis: Analysis) -> Outputs:
        assert self._beside is not None, "the lane reads before it finishes"
        ecg = self._beside.ecg
        ecg = replace(ecg, observation=ecg.observation.packed(self._beside.packed_ecg.result()))
        prepared = prepare(analysis, recording=recording, origin=self.origin, ids=self.intake.ids, ecg=ecg)
        received = replace(self.received, packed=self._beside.packed_content.result())
        return Outputs(recording, received, prepared, self.outbox(analysis))
