"""`GET /model`: what its users must be able to read about the intervention that serves now, model and rules: the source
attributes of ONC's rule HTI-1. JSON, and a page for browsers."""

import asyncio
from collections.abc import Mapping

import orjson
from fastapi import APIRouter, Request, Response

from inference.errors import NotFound
from interop.intake import Intake
from interop.media import preferred
from interop.pages.rendering import respond
from training.source_attributes import SourceAttributes, attributes_json, source_attributes

PATH = "/model"
JSON, PAGE = "application/json", "text/html"
# Whoever names no format is a program: browsers name theirs.
OFFERED: Mapping[str, str] = {
    "application/json": JSON,
    "application/*": JSON,
    "*/*": JSON,
    "text/html": PAGE,
    "application/xhtml+xml": PAGE,
    "text/*": PAGE,
}
# It changes with the model; nobody may show an old one for the new.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"}
SCHEMA = {
    "type": "object",
    "required": ["regulation", "model", "rules", "categories"],
    "properties": {
        "regulation": {"type": "string"},
        "model": {"type": "object"},
        "rules": {"type": "object"},
        "categories": {"type": "array", "items": {"type": "object"}},
    },
}


def router(intake: Intake) -> APIRouter:
    """The one route."""
    routes = APIRouter(tags=["model"])

    @routes.get(
        PATH,
        summary="Source attributes of the model and rules that serve now (ONC HTI-1)",
        response_class=Response,
        responses={
            200: {"description": "The attributes", "content": {JSON: {"schema": SCHEMA}, PAGE: {}}},
            404: {"description": "What serves is no released model", "content": {"application/problem+json": {}}},
        },
    )
    async def show(request: Request) -> Response:
        """Raises NotFound."""
        card = intake.card()
        if card is None:
            raise NotFound("the model that serves has no card")
        found = await asyncio.to_thread(source_attributes, card, intake.analyzer.policy)
        if preferred(request.headers.get("accept"), OFFERED) == PAGE:
            return await asyncio.to_thread(_page, found)
        return Response(orjson.dumps(attributes_json(found)), media_type=JSON, headers=HEADERS)

    return routes


def _page(found: SourceAttributes) -> Response:
    count = sum(len(category.attributes) for category in found.categories)
    return respond("model.html", 200, {"Vary": "Accept"}, found=found, count=count)
