"""Shadow mode: a second model classifies what the champion has classified, after the answer, and nobody is told.

The champion goes first. An analysis is offered once it is stored; it waits in a short queue until its answer is out and
the inference lane has been quiet for a moment, and then runs in a thread of its own, on one core. What finds no room in
the queue is dropped and counted; what fails is counted and logged. Nothing of it is ever in the way of an answer, and
no door reads the results: they are compared by `training.monitoring.shadow`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Protocol

from actions.analysis import Analysis
from actions.analyze import Analyze
from actions.second_opinion import second_opinion
from audit.records import UnitOfWork
from audit.shadow_records import ShadowRow
from inference.classifier import Classifier
from inference.errors import EcgError
from inference.labels import Superclass
from inference.prediction import ModelInfo
from inference.prepare import prepare
from inference.recording import Recording
from interop.metrics import Metrics, ShadowOutcome

log = logging.getLogger(__name__)

THREADS = 1  # of one run of the model; the other core is for the champion
# ECGs of 0.5 MB each, 2 MB at most: a burst that takes the lane a second. A longer one is sampled.
WAITING = 64
ANSWER_SECONDS = 0.005  # from the commit until the answer is with the system
# For how long nothing has to be in the lane. Between two calls of a client that never rests it is empty for 5 ms: a run
# of the model that began then delayed the next answer by 4 ms in the median.
QUIET_SECONDS = 0.02
STORE_SECONDS = 1.0  # one commit for all of a second: each holds up those of the champion for 2 ms
DRAIN_SECONDS = 5.0  # at the end, for what waits: a queue full of ECGs takes less than one

Write = Callable[[Callable[[UnitOfWork], list[bool]]], Awaitable[list[bool]]]


class Line(Protocol):
    """What goes first: `interop.lanes.Lane`."""

    async def idle(self, seconds: float) -> None:
        """Wait until nothing has been queued or running for so long."""


class Deciding(Protocol):
    """A loaded model, or a prediction of one."""

    @property
    def model(self) -> ModelInfo:
        """Which model it is."""
        ...

    @property
    def thresholds(self) -> Mapping[Superclass, float]:
        """Of its decisions."""
        ...


def decide_alike(one: Deciding, other: Deciding) -> bool:
    """Whether both are of one release, or of two with the same weights and thresholds: nothing is to be compared."""
    if (one.model.name, one.model.version) == (other.model.name, other.model.version):
        return True
    return one.model.sha256 == other.model.sha256 and dict(one.thresholds) == dict(other.thresholds)


class Shadow:
    """Runs one model in shadow mode. analyzer: of the champion, for rules, clock and acute window. line: waited for.
    limit: how many may wait. All methods are called by the event loop."""

    def __init__(
        self, classifier: Classifier, *, analyzer: Analyze, line: Line, metrics: Metrics, limit: int = WAITING
    ) -> None:
        self._classifier = classifier
        self._analyzer = analyzer
        self._line = line
        self._metrics = metrics
        self._queue: asyncio.Queue[tuple[Analysis, Recording]] = asyncio.Queue(limit)
        self._rows: list[ShadowRow] = []
        # Of the same priority as the others: on a busy machine one of a lower priority could be kept from its core
        # while it holds the interpreter's lock, and all would wait for it.
        self._thread = ThreadPoolExecutor(1, "shadow")
        self._is_dropping = False

    def offer(self, analysis: Analysis, recording: Recording) -> None:
        """Take an analysis that is stored, if it was classified and there is room. Never waits, raises nothing."""
        if analysis.prediction is None:
            return
        if decide_alike(analysis.prediction, self._classifier):
            self._metrics.shadowed(ShadowOutcome.SAME_MODEL)
            return
        try:
            self._queue.put_nowait((analysis, recording))
        except asyncio.QueueFull:
            self._drop(1)

    @asynccontextmanager
    async def running(self, write: Write) -> AsyncIterator[None]:
        """Work, and at the end finish what waits, within DRAIN_SECONDS. write: runs a job in the writer's transaction,
        as `interop.intake.Intake.write` does."""
        self._metrics.shadow_model(self._classifier.model)
        work = [asyncio.create_task(self._classify()), asyncio.create_task(self._store(write))]
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._queue.join()
            except TimeoutError:
                self._drop(self._queue.qsize())
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await asyncio.to_thread(self._thread.shutdown)
            await self._stored(write)

    async def _classify(self) -> None:
        while True:
            analysis, recording = await self._queue.get()
            try:
                row = await self._in_turn(analysis, recording)
                self._rows.append(row)  # to the list of now: while it was waited for, another may have taken its place
            except asyncio.CancelledError:
                self._drop(1)
                raise
            except Exception as error:  # noqa: BLE001 - it concerns nobody else, and must not end the comparison
                self._failed(1, error)
            finally:
                self._queue.task_done()
            self._is_dropping = self._is_dropping and not self._queue.empty()

    async def _in_turn(self, analysis: Analysis, recording: Recording) -> ShadowRow:
        await asyncio.sleep(ANSWER_SECONDS)
        await self._line.idle(QUIET_SECONDS)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._row, analysis, recording)

    def _row(self, analysis: Analysis, recording: Recording) -> ShadowRow:
        """In the thread. Raises ModelUnavailable."""
        assert analysis.features is not None, "what was classified has features"
        windows = analysis.windows or prepare(recording, analysis.features)
        started = perf_counter()
        prediction = self._classifier(windows)
        seconds = perf_counter() - started
        urgency = second_opinion(self._analyzer.policy, analysis, prediction, self._analyzer.acute_window)
        return ShadowRow(
            analysis_id=str(analysis.id),
            model_name=prediction.model.name,
            model_version=prediction.model.version,
            model_sha256=prediction.model.sha256,
            probabilities={superclass.value: p for superclass, p in prediction.probabilities.items()},
            decided=[superclass.value for superclass in prediction.decided],
            urgency=urgency.value,
            milliseconds=1000 * seconds,
            recorded_at=self._analyzer.clock(),
        )

    async def _store(self, write: Write) -> None:
        while True:
            await asyncio.sleep(STORE_SECONDS)
            await self._stored(write)

    async def _stored(self, write: Write) -> None:
        """What was found since the last time, in one transaction."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            added = await write(lambda uow: [uow.shadows.add(row) for row in rows])
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(len(rows), error)
            return
        for row, is_new in zip(rows, added, strict=True):
            if is_new:
                self._metrics.shadowed(ShadowOutcome.COMPARED)
                self._metrics.shadow_took(row.milliseconds / 1000)

    def _failed(self, number: int, error: Exception) -> None:
        for _ in range(number):
            self._metrics.shadowed(ShadowOutcome.FAILED)
        code = error.code if isinstance(error, EcgError) else type(error).__name__
        log.warning("shadow mode failed", extra={"analyses": number, "code": code}, exc_info=error)

    def _drop(self, number: int) -> None:
        """Count each, log once until the queue has been empty again."""
        for _ in range(number):
            self._metrics.shadowed(ShadowOutcome.DROPPED)
        if number and not self._is_dropping:
            self._is_dropping = True
            log.warning("shadow mode is behind: what comes now is not compared", extra={"waiting": self._queue.qsize()})
