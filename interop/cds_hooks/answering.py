"""A hook call, answered: whose ECGs, what they say, what this user has decided before, and which cards are left."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import orjson

from actions.analysis import Door, RequestContext
from actions.recency import Recency, judge_recency
from actions.report_status import ReportStatus
from audit.card_records import CardFinding, CardRow
from audit.records import AuditEntry, AuditEvent, UnitOfWork
from interop.cds_hooks import muting
from interop.cds_hooks.cards import (
    Occasion,
    Unreadable,
    ecg_card,
    findings,
    overread_card,
    source_label,
    unreadable_card,
)
from interop.cds_hooks.known import KnownEcg, of_patient
from interop.cds_hooks.muting import Decision
from interop.cds_hooks.orders import Draft, drafts, order_card, warnings
from interop.cds_hooks.prefetch import Fetch, Told, gather, read_by_clinician
from interop.cds_hooks.request import HookCall
from interop.cds_hooks.services import ECGS, HookService
from interop.cds_hooks.taking import Taking, recorded_at
from interop.cds_hooks.wire import Card
from interop.intake import Intake
from interop.logs import correlation
from interop.resources.codes import Json

# A finding that a clinician has read is told no more, but for an immediate one: that it was, and by whom.
READ = frozenset({ReportStatus.FINAL, ReportStatus.AMENDED, ReportStatus.CORRECTED, ReportStatus.APPENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call with what came around it. issuer: of its JWT. base: our URL. fetch: reads from the EHR."""

    service: HookService
    call: HookCall
    issuer: str | None
    base: str
    fetch: Fetch | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """The patient's ECGs here, newest first; the newest may be one that nobody could read."""

    newest: KnownEcg | Unreadable | None
    previous: KnownEcg | None
    is_read_there: bool = False


class Answering:
    """Answers hook calls. silent_for: how long a decision silences a finding. page: path of an analysis's page."""

    def __init__(self, intake: Intake, page: Callable[[str], str], silent_for: timedelta) -> None:
        self._intake = intake
        self._page = page
        self._silent_for = silent_for
        self._taking = Taking(intake)

    async def cards(self, asked: Asked) -> list[Json]:
        """The cards. Raises DataMissing where neither the patient's ECGs nor identifiers to find them by could be had,
        InvalidContent, and ServiceError: a failure is no empty list."""
        told = await gather(asked.call, asked.fetch)
        if told.ecgs is None and not any(one.system for one in told.identifiers):
            assert told.missing is not None
            raise told.missing
        seen = await self._seen(asked, told)
        occasion = self._occasion(asked)
        found = await self._cards(asked, seen, occasion)
        if found:
            rows = [_row(card, asked, occasion) for card in found]
            await self._intake.write(lambda uow: _note(uow, rows, occasion))
        self._intake.metrics.cards_shown(asked.service.id, [card.indicator for card in found])
        return [card.as_json() for card in found]

    async def _seen(self, asked: Asked, told: Told) -> _Seen:
        """The ECGs that came with the call, taken in, and those that are here."""
        context = self._context(asked)
        came = sorted(told.ecgs or (), key=_stated, reverse=True)[:ECGS]
        taken = [await self._taking.known(one, told, asked.call.server, context) for one in came]
        held = await self._intake.read(lambda store: of_patient(store, told.identifiers, ECGS + 1))
        each: dict[str, KnownEcg | Unreadable] = {}
        for one in (*taken, *held):
            if one is not None:
                each.setdefault(one.id if isinstance(one, KnownEcg) else one.key, one)
        ranked = sorted(each.values(), key=_recorded, reverse=True)
        newest = next(iter(ranked), None)
        readable = (one for one in ranked[1:] if isinstance(one, KnownEcg) and one.analysis.interpretable)
        source = next((raw for raw, one in zip(came, taken, strict=True) if one is newest), None)
        is_read = source is not None and read_by_clinician(told.reports, source)
        return _Seen(newest, next(readable, None), is_read)

    async def _cards(self, asked: Asked, seen: _Seen, occasion: Occasion) -> list[Card]:
        newest = seen.newest
        if newest is None:
            return []
        recency = judge_recency(newest.recorded_at, occasion.now, self._intake.analyzer.acute_window)
        ordered = drafts(asked.call.context) if asked.service.hook.is_of_orders else None
        unreadable = _unreadable(newest)
        if unreadable is not None:
            label = source_label(None)
            # An archive raises no cards; and what speaks against an order cannot be told without an ECG.
            return [] if recency.archived or ordered == () else [unreadable_card(unreadable, recency, occasion, label)]
        assert isinstance(newest, KnownEcg)
        key = asked.call.user_key(asked.issuer)
        decided = muting.decisions(await self._intake.read(lambda store: store.cards.of(key, newest.id)))
        if ordered is not None:
            return self._of_orders(ordered, newest, seen, recency, decided, occasion)
        return self._of_ecg(newest, seen, recency, decided, occasion)

    def _of_ecg(
        self, ecg: KnownEcg, seen: _Seen, recency: Recency, decided: Mapping[str, Decision], occasion: Occasion
    ) -> list[Card]:
        if recency.archived:
            return []
        if ecg.status in READ:
            card = overread_card(ecg, recency, occasion)
        else:
            open_ = findings(ecg)
            if seen.is_read_there:  # the clinician's report in the EHR stands for what is not immediate
                open_ = tuple(one for one in open_ if one.urgency.rank == 0)
            left = muting.sort(open_, decided, now=occasion.now, silent_for=self._silent_for)
            card = ecg_card(ecg, seen.previous, recency, left, occasion)
        return [card] if card is not None else []

    def _of_orders(
        self,
        ordered: tuple[Draft, ...],
        ecg: KnownEcg,
        seen: _Seen,
        recency: Recency,
        decided: Mapping[str, Decision],
        occasion: Occasion,
    ) -> list[Card]:
        analyzer = self._intake.analyzer
        found = warnings(analyzer.policy, ordered, ecg, seen.previous, occasion, analyzer.acute_window)
        left = muting.sort([one.finding for one in found], decided, now=occasion.now, silent_for=self._silent_for)
        reminded = dict(left.decided)
        shown = [one for one in found if one.finding in left.open or one.finding in reminded]
        return [
            order_card(list(against), ecg, recency, occasion, reminded)
            for _, against in groupby(shown, key=lambda one: id(one.draft))
        ]

    def _occasion(self, asked: Asked) -> Occasion:
        context = asked.call.context
        return Occasion(
            now=self._intake.clock(),
            base=asked.base,
            user=context.userId,
            patient_id=context.patientId,
            encounter_id=context.encounterId,
            new_id=lambda: str(self._intake.ids()),
            page=lambda name: f"{asked.base}{self._page(name)}",
        )

    def _context(self, asked: Asked) -> RequestContext:
        sender = asked.call.server or asked.issuer
        return self._intake.context(Door.CDS_HOOKS, correlation.get(), sender)


def _unreadable(newest: KnownEcg | Unreadable) -> Unreadable | None:
    """The newest ECG as one that cannot be read, where it is."""
    if isinstance(newest, Unreadable):
        return newest
    if newest.analysis.interpretable:
        return None
    return Unreadable(key=newest.id, reason=newest.analysis.conclusion, recorded_at=newest.recorded_at)


def _stated(raw: Json) -> tuple[bool, float]:
    return _by_time(recorded_at(raw))


def _recorded(one: KnownEcg | Unreadable) -> tuple[bool, float]:
    return _by_time(one.recorded_at)


def _by_time(at: datetime | None) -> tuple[bool, float]:
    """Undated ones before all others."""
    return (at is not None, at.timestamp() if at else 0.0)


def _row(card: Card, asked: Asked, occasion: Occasion) -> CardRow:
    return CardRow(
        id=card.uuid,
        at=occasion.now,
        service=asked.service.id,
        user_key=asked.call.user_key(asked.issuer),
        analysis_id=card.analysis_id,
        indicator=card.indicator,
        findings=tuple(
            CardFinding(rule=rule, urgency=urgency.value, suggestion_ids=suggestions)
            for rule, urgency, suggestions in card.findings
        ),
    )


def _note(uow: UnitOfWork, rows: list[CardRow], occasion: Occasion) -> None:
    """What was shown, to whom."""
    for row in rows:
        uow.cards.add(row)
        payload = {
            "card": row.id,
            "service": row.service,
            "user": row.user_key,
            "indicator": row.indicator,
            "rules": [finding.rule for finding in row.findings],
        }
        uow.trail.append(
            AuditEntry(
                event=AuditEvent.CARDS_SHOWN,
                recorded_at=occasion.now,
                subject=f"DiagnosticReport/{row.analysis_id}",
                correlation_id=correlation.get(),
                payload=orjson.dumps(payload),
            )
        )
