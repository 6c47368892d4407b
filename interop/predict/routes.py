"""`POST /predict`: one ECG as a JSON matrix in, its durable analysis out."""

from collections.abc import Mapping
from time import perf_counter

from fastapi import APIRouter, Request, Response

from actions.analysis import Analysis, Door, RequestContext
from audit.records import Received
from inference.errors import NotAcceptable, UnsupportedMediaType
from interop.intake import Intake
from interop.logs import correlation
from interop.media import media_type, preferred
from interop.passage import Passage
from interop.predict.openapi import REQUEST_BODY, RESPONSES
from interop.predict.schema import answer, read
from interop.record import Origin
from interop.refusal import uninterpretable

PATH = "/predict"
JSON = "application/json"
OFFERED: Mapping[str, str] = {JSON: JSON, "application/*": JSON, "*/*": JSON}

# There is no Patient behind a call of /predict, and none is invented.
NOBODY = Origin(observation=None, subject=None)


def router(intake: Intake) -> APIRouter:
    """The one route."""
    routes = APIRouter(tags=["predict"])

    @routes.post(
        PATH,
        summary="Classify one 12-lead ECG",
        response_class=Response,
        responses=RESPONSES,
        openapi_extra=REQUEST_BODY,
    )
    async def predict(request: Request) -> Response:
        _negotiate(request)
        content = await request.body()
        started = perf_counter()
        intake.metrics.received(Door.PREDICT)
        context = intake.context(Door.PREDICT, correlation.get())
        analysis = await _durable(intake, content, context)
        seconds = perf_counter() - started
        intake.metrics.answered(Door.PREDICT, seconds)
        return Response(answer(analysis, 1000 * seconds), media_type=JSON)

    return routes


async def _durable(intake: Intake, content: bytes, context: RequestContext) -> Analysis:
    """Analyse and store. Raises UninterpretableSignal, and what `read`, the lane and the writer raise."""
    received = Received(
        door=context.door,
        content=content,
        media_type=JSON,
        received_at=context.received_at,
        correlation_id=context.correlation_id,
    )
    outputs = await Passage(
        intake=intake,
        context=context,
        received=received,
        origin=NOBODY,
        read=lambda: read(content, context.received_at),
    ).analysed()
    if not outputs.analysis.interpretable:
        raise uninterpretable(outputs.analysis, "ecg_signal")
    await intake.write(outputs.record)
    intake.shadow(outputs.analysis, outputs.recording)
    return outputs.analysis


def _negotiate(request: Request) -> None:
    """Raises UnsupportedMediaType, NotAcceptable."""
    sent, parameters = media_type(request.headers.get("content-type", ""))
    if sent != JSON or parameters.get("charset", "utf-8").lower() not in ("utf-8", "us-ascii"):
        raise UnsupportedMediaType(f"send {JSON} in UTF-8")
    if preferred(request.headers.get("accept"), OFFERED) is None:
        raise NotAcceptable(f"only {JSON} is offered")
