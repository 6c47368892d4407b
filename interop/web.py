"""The HTTP application: every router, one way to answer errors, and what happens around each request."""

import logging
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from actions.analysis import Door
from inference.errors import (
    EcgError,
    Fault,
    InternalError,
    InvalidContent,
    Malformed,
    MethodNotSupported,
    NotFound,
    TooLarge,
)
from interop import health as health_routes
from interop.cds_hooks import routes as cds_routes
from interop.compression import Decompressed
from interop.errors import answer_to
from interop.fhir import routes as fhir_routes
from interop.fhir.exchange import PREFIX
from interop.fhir.negotiation import FHIR_JSON
from interop.fhir.outcome import outcome_of
from interop.health import Health
from interop.intake import Intake
from interop.logs import correlation
from interop.metrics import Metrics
from interop.middleware import BodyLimit, CorrelationId, RequestMetrics, SafetyNet, Traced
from interop.monitoring import page as monitoring_page
from interop.monitoring import routes as monitoring_routes
from interop.pages import model as model_page
from interop.pages import routes as page_routes
from interop.predict import routes as predict_routes
from interop.problem import MEDIA_TYPE, problem_of
from interop.settings import Settings

log = logging.getLogger(__name__)

DISTRIBUTION = "ecg-clinical-action-recommender"
DOORS: Mapping[str, Door] = {
    PREFIX: Door.FHIR,
    predict_routes.PATH: Door.PREDICT,
    cds_routes.PATH: Door.CDS_HOOKS,
}
# How each door writes an error; the others write problem details.
OUTCOMES: Mapping[Door | None, str] = {Door.FHIR: FHIR_JSON, Door.CDS_HOOKS: cds_routes.JSON}

# Smaller answers do not get smaller. Level 1 takes an ECG to a third in 2 ms; higher ones take time and save little.
GZIP_FROM_BYTES = 1024
GZIP_LEVEL = 1

# What FHIR clients send and read beyond what every page may.
CORS_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = (
    "Authorization", "Content-Type", "Content-Encoding", "Accept", "Prefer", "If-Match", "If-None-Match",
    "If-None-Exist", "If-Modified-Since", "X-Request-Id",
)  # fmt: skip
CORS_EXPOSED = ("ETag", "Location", "Content-Location", "Last-Modified", "Link", "X-Request-Id")

# What the framework raises by itself; any other status below 500 is a request that it could not read.
FRAMEWORK_ERRORS: Mapping[int, type[EcgError]] = {404: NotFound, 405: MethodNotSupported, 413: TooLarge}


class ErrorAnswers:
    """Renders errors: OperationOutcome for FHIR and CDS Hooks, problem details elsewhere; counted and logged."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def render(self, scope: Scope, error: EcgError, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to an error that a request met."""
        answer = answer_to(error)
        door = door_of(scope["path"])
        if door is not None:
            self._metrics.refused(door, error.code)
        level = logging.INFO if error.fault is Fault.SENDER else logging.ERROR
        cause = error if level == logging.ERROR else None
        # Without the element, which may be a name that the sender made up; the caller is told it.
        log.log(level, "refused", extra={"door": door, "code": error.code}, exc_info=cause)
        headers = dict(headers or {})
        if answer.retry_after is not None:
            headers["Retry-After"] = str(answer.retry_after)
        if answer.challenge is not None:
            headers["WWW-Authenticate"] = answer.challenge
        write = outcome_of if door in OUTCOMES else problem_of
        return Response(
            write(error, correlation.get()),
            answer.http_status,
            headers=headers,
            media_type=OUTCOMES.get(door, MEDIA_TYPE),
        )

    async def ecg_error(self, request: Request, error: Exception) -> Response:
        """For every error of our tree."""
        assert isinstance(error, EcgError)
        return self.render(request.scope, error)

    async def framework_error(self, request: Request, error: Exception) -> Response:
        """For what Starlette raises, and for 405 with its Allow header."""
        assert isinstance(error, HTTPException)
        otherwise = InternalError if error.status_code >= 500 else Malformed
        kind = FRAMEWORK_ERRORS.get(error.status_code, otherwise)
        return self.render(request.scope, kind(error.detail), error.headers)

    async def validation_error(self, request: Request, error: Exception) -> Response:
        """For parameters that FastAPI checks."""
        assert isinstance(error, RequestValidationError)
        problems = [(".".join(map(str, found["loc"])), str(found["msg"])) for found in error.errors()]
        return self.render(request.scope, InvalidContent(problems[0][1], element=problems[0][0], problems=problems))

    async def disconnected(self, request: Request, error: Exception) -> Response:
        """For a client that went away in the middle of its body; nobody reads the answer."""
        return self.render(request.scope, Malformed("the body ended early"))


def create_app(intake: Intake, settings: Settings, health: Health) -> FastAPI:
    """The application. Starts and stops nothing: the caller owns what is behind `intake`."""
    answers = ErrorAnswers(intake.metrics)
    release = installed_version()
    app = FastAPI(
        title="ECG Clinical Action Recommender",
        description="12-lead ECGs in, ranked clinical actions out. Decision support; research and evaluation only.",
        version=release,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            EcgError: answers.ecg_error,
            HTTPException: answers.framework_error,
            RequestValidationError: answers.validation_error,
            ClientDisconnect: answers.disconnected,
        },
        middleware=[
            Middleware(CorrelationId),
            Middleware(Traced, tracing=intake.tracing),
            Middleware(RequestMetrics, metrics=intake.metrics),
            *_cors(settings),
            Middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES, compresslevel=GZIP_LEVEL),
            Middleware(SafetyNet, render=answers.render),
            Middleware(BodyLimit, limit=settings.http_max_bytes, render=answers.render),
            Middleware(Decompressed, limit=settings.http_max_bytes, render=answers.render),
        ],
    )
    app.include_router(health_routes.router(health, intake.metrics, lambda: intake.metrics.queued(intake.lane.waiting)))
    app.include_router(predict_routes.router(intake))
    app.include_router(page_routes.router(intake, settings))
    app.include_router(model_page.router(intake))
    app.include_router(monitoring_routes.router(intake, settings))
    app.include_router(monitoring_page.router(intake, settings))
    fhir = fhir_routes.door(intake, settings, version=release, started=intake.clock())
    app.include_router(fhir.router)
    app.state.later = fhir.later
    cds = cds_routes.door(intake, settings, page_routes.page_path)
    app.include_router(cds.router)
    app.state.fhir_servers = cds.servers
    return app


def _cors(settings: Settings) -> list[Middleware]:
    """Pages of other origins may call only where the operator names them."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=CORS_METHODS,
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_EXPOSED,
        )
    ]


def door_of(path: str) -> Door | None:
    """Which door a URL belongs to, None for the rest."""
    return next((door for prefix, door in DOORS.items() if path == prefix or path.startswith(f"{prefix}/")), None)


def installed_version() -> str:
    """The version of this software; a source tree that is not installed has none."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unreleased"
