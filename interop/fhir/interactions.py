"""Changes from what was asked to what came of it: one of its own, or several that stand or fall together.

    resolve what is meant -> read -> prepare (in the patients' turn) -> store, in one transaction

Between the look at what is there and the transaction others may have changed it. The transaction finds out, and
everything is done again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TypeVar

from actions.analysis import RequestContext
from audit.criteria import Search
from audit.records import UnitOfWork
from inference.errors import Duplicate, EcgError, NotFound, StorageUnavailable, VersionConflict
from interop.fhir import submission
from interop.fhir.change import Change, Changed, Method, located
from interop.fhir.conditional import matching
from interop.fhir.patch import patched
from interop.fhir.preparing import Moved, Preparing, Ready
from interop.fhir.references import Condition, Names, Resolution, renamed, resolve, still_meant
from interop.fhir.storing import store
from interop.fhir.submission import Submission
from interop.intake import Intake
from interop.overreading import Occasion
from interop.resources.codes import Json

# How often a change is prepared anew because others were faster. Each time one of them has been stored.
ATTEMPTS = 10
# ECGs of one Bundle that are under way at once: twice what the model takes in one run, so that it never waits.
AT_ONCE = 8
# FHIR R4 http.html section 3.1.0.11.2: the order in which a transaction is carried out.
ORDER = (Method.DELETE, Method.POST, Method.PUT)


T = TypeVar("T")


class Interactions:
    """Carries out changes."""

    def __init__(self, intake: Intake, limit: int) -> None:
        """limit: bytes that a resource may have after a patch."""
        self._intake = intake
        self._limit = limit
        self._preparing = Preparing(intake)

    async def one(self, change: Change, context: RequestContext) -> Changed:
        """Raises every error that a change may meet."""
        (changed,) = await self.together([change], context, _no_condition)
        return changed

    async def together(self, changes: Sequence[Change], context: RequestContext, condition: Condition) -> list[Changed]:
        """All of them or none, in the order of `changes`. condition: the search of a type and a query, as references
        may have it. Raises the first error that one of them meets."""
        conditional = any(change.condition is not None for change in changes)
        for attempt in range(ATTEMPTS):
            try:
                return await self._attempt(changes, context, condition)
            except Moved:
                continue
            except Duplicate:  # perhaps of what now meets the condition, and did not when it was looked up
                if attempt or not conditional:
                    raise
        raise StorageUnavailable("others change the same resources all the time")

    async def _attempt(self, changes: Sequence[Change], context: RequestContext, condition: Condition) -> list[Changed]:
        whole = [await self._unpatched(change) for change in changes]
        found = await self._resolved(whole, condition)
        submissions = await _several([partial(self._read, one.change, found.names) for one in found.each])
        keys = {submission.patient_key for submission in submissions}
        async with AsyncExitStack() as turns:
            for key in sorted(key for key in keys if key):  # in one order, so that nobody waits in a circle
                await turns.enter_async_context(self._intake.in_order(key))
            ready = await self._ready(found, submissions, context)
            occasion = Occasion(at=context.received_at, correlation_id=context.correlation_id, ids=self._intake.ids)
            stored = await self._intake.write(lambda uow: _stored(uow, ready, found, occasion))
            for one in ready:
                if one.analysed is not None:
                    self._intake.shadow(one.analysed.analysis, one.analysed.recording)
            return stored

    async def _resolved(self, changes: Sequence[Change], condition: Condition) -> Resolution:
        ids = self._intake.ids
        if all(change.condition is None and not change.place for change in changes):
            return resolve(None, changes, ids, condition)  # nothing is looked up
        return await self._intake.read(lambda reader: resolve(reader.documents, changes, ids, condition))

    async def _ready(
        self, found: Resolution, submissions: Sequence[Submission], context: RequestContext
    ) -> list[Ready]:
        bundled = _patients(found, submissions)

        async def ready(place: int, read: Submission) -> Ready:
            one = found.each[place]
            try:
                return await self._preparing.ready(read, one.id, context, bundled, one.matched)
            except EcgError as error:
                raise located(error, one.change) from error

        return await _several([partial(ready, *pair) for pair in enumerate(submissions)])

    async def _read(self, change: Change, names: Names) -> Submission:
        try:
            return await self._intake.decode(lambda: submission.read(renamed(change, names)))
        except EcgError as error:
            raise located(error, change) from error

    async def _unpatched(self, change: Change) -> Change:
        """A patch as the update that it makes of the stored version."""
        if change.method is not Method.PATCH:
            return change
        try:
            return await self._update_of(change)
        except EcgError as error:
            raise located(error, change) from error

    async def _update_of(self, change: Change) -> Change:
        body, condition, name = change.content, change.condition, change.id
        assert body is not None, "a patch has a body"
        if condition is not None:
            found = await self._intake.read(lambda reader: matching(reader.documents, condition))
            if found is None:
                raise NotFound(f"no {change.type} meets the condition")
            name = found.id
        current = await self._intake.read(lambda reader: reader.documents.read(change.type, name or ""))
        if change.if_match not in (None, current.version):
            raise VersionConflict(f"version {change.if_match} is expected, but {current.version} is the current one")
        content = await self._intake.decode(lambda: patched(current.content, body, limit=self._limit))
        return replace(
            change, method=Method.PUT, id=current.id, condition=None, content=content, based_on=current.version
        )


async def _several(work: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """All of it, so many at once, in order. Raises the first error; what has not begun by then is not begun."""
    if len(work) == 1:
        return [await work[0]()]
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(each: Callable[[], Awaitable[T]]) -> T:
        async with limit:
            return await each()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(each)) for each in work]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _patients(found: Resolution, submissions: Sequence[Submission]) -> Mapping[str, Json]:
    """The Patients that come along, by the name that they are stored under."""
    return {
        f"Patient/{one.matched or one.id}": read.received.raw
        for one, read in zip(found.each, submissions, strict=True)
        if read.received is not None and read.change.type == "Patient"
    }


def _stored(uow: UnitOfWork, ready: Sequence[Ready], found: Resolution, occasion: Occasion) -> list[Changed]:
    if not still_meant(uow.documents, found):
        raise Moved
    outcomes: dict[int, Changed] = {}
    for method in ORDER:
        for place, one in enumerate(ready):
            if one.change.method is method:
                outcomes[place] = store(uow, one, occasion)
    return [outcomes[place] for place in range(len(ready))]


def _no_condition(type: str, query: str) -> Search:
    raise AssertionError("a single resource's references are stored as they are")
