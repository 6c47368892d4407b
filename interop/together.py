"""Several recordings through the model in one run: those that wait for the lane at the same time.

Each is read, checked and measured by itself; then the windows of all of them are classified together; then each is
finished by itself. What goes wrong with one concerns that one only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from actions.analysis import Analysis, RequestContext
from actions.analyze import Analyze, Begun
from inference.errors import EcgError
from inference.prediction import Prediction
from inference.prepare import ModelInput
from inference.recording import Recording


class ClassifyTogether(Protocol):
    """A loaded model that takes several recordings at once."""

    def __call__(self, recordings: Sequence[Sequence[ModelInput]]) -> Sequence[Prediction]:
        """Classify each recording by its windows. Raises ModelUnavailable when inference fails."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One request. read: gives the recording. meanwhile: told of it before the model runs, to start in another thread
    what does not wait for the outcome. finish: what the door makes of the outcome, in the same thread. digest: of the
    signal, where it is known."""

    read: Callable[[], Recording]
    context: RequestContext
    finish: Callable[[Recording, Analysis], Any]
    meanwhile: Callable[[Recording], None] | None = None
    digest: str | None = None


@dataclass(slots=True)
class _Course:
    """How far a job has come. failure: what ended it."""

    job: Job
    begun: Begun | None = None
    prediction: Prediction | None = None
    seconds: float | None = None
    failure: Exception | None = None

    @property
    def waits(self) -> bool:
        """Whether there is something to classify."""
        return self.failure is None and self.begun is not None and self.begun.waits


@dataclass(frozen=True, slots=True)
class Together:
    """Runs jobs. classify: None where the model takes one recording at a time only."""

    analyze: Analyze
    classify: ClassifyTogether | None = None

    def __call__(self, jobs: Sequence[Job]) -> list[Any]:
        """For each job (analysis, outcome of `finish`), or the exception that it raised."""
        courses = [self._begun(job) for job in jobs]
        self._classify([course for course in courses if course.waits])
        return [course.failure or self._finished(course) for course in courses]

    def _begun(self, job: Job) -> _Course:
        try:
            recording = job.read()
            begun = self.analyze.begin(recording, job.context, job.digest)
            if job.meanwhile is not None:
                job.meanwhile(recording)
            return _Course(job, begun)
        except Exception as error:  # noqa: BLE001 - belongs to this job's caller, who gets it
            return _Course(job, failure=error)

    def _classify(self, courses: Sequence[_Course]) -> None:
        if self.classify is None or len(courses) < 2:
            for course in courses:
                self._classify_alone(course)
            return
        started = perf_counter()
        try:
            predictions = self.classify([course.begun.windows for course in courses if course.begun])
        except EcgError:  # perhaps one of them is to blame
            for course in courses:
                self._classify_alone(course)
            return
        for course, prediction in zip(courses, predictions, strict=True):
            course.prediction, course.seconds = prediction, perf_counter() - started

    def _classify_alone(self, course: _Course) -> None:
        assert course.begun is not None
        started = perf_counter()
        try:
            course.prediction = self.analyze.classify(course.begun.windows)
        except Exception as error:  # noqa: BLE001 - belongs to this job's caller, who gets it
            course.failure = error
        course.seconds = perf_counter() - started

    def _finished(self, course: _Course) -> Any:
        assert course.begun is not None
        try:
            analysis = self.analyze.finish(course.begun, course.prediction, classify_seconds=course.seconds)
            return analysis, course.job.finish(course.begun.recording, analysis)
        except Exception as error:  # noqa: BLE001 - belongs to this job's caller, who gets it
            return error
