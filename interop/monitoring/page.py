"""`GET /monitoring`: how the model does, for people who watch it. Made of what is stored at that moment; read-only."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from audit.monitoring_records import ReportKind
from interop.intake import Intake
from interop.monitoring.history import History, gather
from interop.monitoring.overview import overview
from interop.monitoring.shown import allowed_ages
from interop.pages.rendering import respond
from interop.settings import Settings

PATH = "/monitoring"
DAYS = 90
MOST_DAYS = 3660  # ten years

Days = Annotated[int, Query(ge=1, le=MOST_DAYS, description="how far to look back")]


def router(intake: Intake, settings: Settings) -> APIRouter:
    """The one route. It stands in no description for programs: it is for people."""
    routes = APIRouter(include_in_schema=False)
    ages = allowed_ages(settings)
    reports = f"{(settings.public_url or '').rstrip('/')}{PATH}"
    # Most have no model in shadow mode, and then nobody misses its report.
    expected = frozenset(ages) - (frozenset() if settings.shadow_model else {ReportKind.SHADOW})

    @routes.get(PATH, response_class=Response)
    async def show(days: Days = DAYS) -> Response:
        """Raises StorageUnavailable."""
        now = intake.clock()
        history = await intake.read(lambda store: gather(store, tuple(ages), now, days))
        return await asyncio.to_thread(rendered, history, days)

    def rendered(history: History, days: int) -> Response:
        shown = overview(history, ages, expected, days)
        return respond("monitoring.html", sheet="monitoring.css", page=shown, reports=reports)

    return routes
