"""The straight line behind every door: decode in the lane, analyze, record in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, TypeVar

from actions.analysis import Analysis, Door, Mode, RequestContext
from actions.analyze import Analyze
from actions.ports import Clock, Ids
from audit.records import Reader, UnitOfWork
from inference.errors import StorageUnavailable
from inference.recording import Recording
from interop.lanes import Lane, Readers, Writer
from interop.logs import carried
from interop.metrics import Metrics
from interop.ordering import PatientLine
from interop.telemetry import NO_TRACING, Span, Tracing
from interop.together import ClassifyTogether, Job, Together

T = TypeVar("T")


def _always() -> bool:
    return True


def no_card() -> None:
    """Where the model that serves is no released one."""


def no_shadow(analysis: Analysis, recording: Recording) -> None:
    """Where no model runs in shadow mode."""


@dataclass(frozen=True)
class Intake:
    """What a door needs to take an ECG in. One object, made by `interop.bootstrap`, shared by all doors.

    storage_seconds: how long the database may take before the sender is told to try again. classify_together: the model
    for several recordings in one run, None for one that takes them one by one. may_speak: whether what serves now may
    be live at all. card: of the model that serves now. shadow: to be told of each analysis once it is stored; the model
    in shadow mode looks at it then. tracing: where the parts of the way are told how long they took.
    """

    analyzer: Analyze
    lane: Lane
    writer: Writer
    readers: Readers
    metrics: Metrics
    clock: Clock
    ids: Ids
    mode: Mode
    line: PatientLine = field(default_factory=PatientLine)
    storage_seconds: float = 10.0
    classify_together: ClassifyTogether | None = None
    may_speak: Callable[[], bool] = _always
    card: Callable[[], Mapping[str, Any] | None] = no_card
    shadow: Callable[[Analysis, Recording], None] = no_shadow
    tracing: Tracing = NO_TRACING

    def context(self, door: Door, correlation_id: str, sender: str | None = None) -> RequestContext:
        """The context of one request, received now."""
        mode = self.mode if self.may_speak() else Mode.SILENT
        return RequestContext(
            door=door, received_at=self.clock(), correlation_id=correlation_id, sender=sender, mode=mode
        )

    async def decode(self, work: Callable[[], T]) -> T:
        """Run heavy parsing in the lane, away from the event loop. Raises Overloaded, or what `work` raises."""
        with self.tracing.span("decode"):
            return await self.lane.run(carried(work))

    async def analyze(self, recording: Recording, context: RequestContext) -> Analysis:
        """Classify and map. Raises Overloaded, ModelUnavailable."""
        with self.tracing.span("analyze") as span:
            analysis = await self.lane.run(carried(lambda: self.analyzer(recording, context)))
            self._analysed(analysis, span)
        return analysis

    async def analyze_within(
        self,
        read: Callable[[], Recording],
        context: RequestContext,
        finish: Callable[[Recording, Analysis], T],
        *,
        meanwhile: Callable[[Recording], None] | None = None,
        digest: str | None = None,
    ) -> tuple[Analysis, T]:
        """Classify and map, with what a door does before (`read`) and after it (`finish`) in the same visit to the
        lane; recordings that wait are classified together. meanwhile: starts in another thread what may be done while
        the model runs. digest: of the signal, where it is known. Raises Overloaded, ModelUnavailable, or what they
        raise."""
        job = Job(carried(read), context, carried(finish), meanwhile, digest)
        with self.tracing.span("analyze") as span:
            outcome: tuple[Analysis, T] = await self.lane.run_together(self._together, job)
            self._analysed(outcome[0], span)
        return outcome

    async def write(self, job: Callable[[UnitOfWork], T]) -> T:
        """Run a job in the writer's transaction; its value comes once it is durable.

        Raises StorageUnavailable, also when the database hangs: a job that had begun may be stored nevertheless, one
        that had not is dropped. Raises Overloaded, or what the job raises.
        """
        started = perf_counter()
        with self.tracing.span("store"):
            result = await self._in_time(self.writer.write(carried(job)))
        self.metrics.wrote(perf_counter() - started)
        return result

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in a reader thread. Raises StorageUnavailable, or what the query raises."""
        with self.tracing.span("read"):
            return await self._in_time(self.readers.read(carried(query)))

    def in_order(self, patient_key: str | None) -> AbstractAsyncContextManager[None]:
        """Hold the patient's place in the line: one item of a patient at a time, in order of arrival."""
        return self.line.hold(patient_key)

    def _analysed(self, analysis: Analysis, span: Span) -> None:
        self.metrics.analysed(analysis)
        found = {"ecg.analysis_id": str(analysis.id), "ecg.door": analysis.door, "ecg.mode": analysis.mode}
        if analysis.prediction is not None:
            model = analysis.prediction.model
            found |= {"ecg.model.name": model.name, "ecg.model.version": model.version}
        span.set({**found, **{f"ecg.stage.{name}_seconds": seconds for name, seconds in analysis.timings.items()}})

    @property
    def _together(self) -> Together:
        return Together(self.analyzer, self.classify_together)

    async def _in_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.storage_seconds):
                return await work
        except TimeoutError as error:
            raise StorageUnavailable(f"no answer from the database within {self.storage_seconds:g} s") from error
