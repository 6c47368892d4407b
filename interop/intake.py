"""The straight line behind every door: decode in the lane, analyze, record in one transaction."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

from actions.analysis import Analysis, Door, Mode, RequestContext
from actions.analyze import Analyze
from actions.ports import Clock, Ids
from audit.records import Reader, UnitOfWork
from inference.recording import Recording
from interop.lanes import Lane, Readers, Writer
from interop.metrics import Metrics
from interop.ordering import PatientLine

T = TypeVar("T")


@dataclass(frozen=True)
class Intake:
    """What a door needs to take an ECG in. One object, made by `interop.bootstrap`, shared by all doors."""

    analyzer: Analyze
    lane: Lane
    writer: Writer
    readers: Readers
    metrics: Metrics
    clock: Clock
    ids: Ids
    mode: Mode
    line: PatientLine = field(default_factory=PatientLine)

    def context(self, door: Door, correlation_id: str, sender: str | None = None) -> RequestContext:
        """The context of one request, received now."""
        return RequestContext(
            door=door, received_at=self.clock(), correlation_id=correlation_id, sender=sender, mode=self.mode
        )

    async def decode(self, work: Callable[[], T]) -> T:
        """Run heavy parsing in the lane, away from the event loop. Raises Overloaded, or what `work` raises."""
        return await self.lane.run(work)

    async def analyze(self, recording: Recording, context: RequestContext) -> Analysis:
        """Classify and map. Raises Overloaded, ModelUnavailable."""
        analysis = await self.lane.run(lambda: self.analyzer(recording, context))
        self.metrics.analysed(analysis)
        return analysis

    async def analyze_within(self, work: Callable[[Analyze], tuple[Analysis, T]]) -> tuple[Analysis, T]:
        """Run `work` in the lane and give it the analyzer: what a door does before and after the analysis then needs no
        visit to the lane of its own. Raises Overloaded, ModelUnavailable, or what `work` raises."""
        analysis, result = await self.lane.run(lambda: work(self.analyzer))
        self.metrics.analysed(analysis)
        return analysis, result

    async def write(self, job: Callable[[UnitOfWork], T]) -> T:
        """Run a job in the writer's transaction; its value comes once it is durable."""
        started = perf_counter()
        result = await self.writer.write(job)
        self.metrics.wrote(perf_counter() - started)
        return result

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in a reader thread."""
        return await self.readers.read(query)

    def in_order(self, patient_key: str | None) -> AbstractAsyncContextManager[None]:
        """Hold the patient's place in the line: one item of a patient at a time, in order of arrival."""
        return self.line.hold(patient_key)
