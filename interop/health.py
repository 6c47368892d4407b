"""Liveness and readiness, for a load balancer and for a person with curl."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import orjson
from fastapi import APIRouter, Response

from inference.errors import EcgError
from interop.logs import correlation
from interop.metrics import Metrics
from interop.problem import MEDIA_TYPE, problem

log = logging.getLogger(__name__)

# A probe usually waits 1 s to 5 s; a check that hangs must not hang the probe.
CHECK_SECONDS = 2.0
PASSED = "ok"
NOT_READY = "not-ready"

Check = Callable[[], Awaitable[None]]


class Health:
    """The readiness checks of one process, by name. A check raises to fail. facts: what else a probe is shown."""

    def __init__(self, checks: Mapping[str, Check], facts: Callable[[], Mapping[str, object]] = dict) -> None:
        self._checks = dict(checks)
        self.facts = facts

    async def run(self) -> dict[str, str]:
        """Every check at once: its name -> `ok`, or what is wrong."""
        results = await asyncio.gather(*(self._one(name, check) for name, check in self._checks.items()))
        return dict(zip(self._checks, results, strict=True))

    async def _one(self, name: str, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except TimeoutError:
            return f"no answer within {CHECK_SECONDS:g} s"
        except EcgError as error:
            return error.message
        except Exception as error:  # whatever a check raises is its result; the text may hold a secret
            log.warning("check failed", extra={"check": name}, exc_info=error)
            return type(error).__name__
        return PASSED


def router(health: Health, metrics: Metrics, before_exposition: Callable[[], None]) -> APIRouter:
    """The routes `/health`, `/ready` and `/metrics`. before_exposition: refreshes gauges that nobody pushes."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/health", summary="Whether the process is alive")
    async def alive() -> Response:
        return _json({"status": PASSED})

    @routes.get("/ready", summary="Whether it can take ECGs", responses={503: {"description": "names what fails"}})
    async def ready() -> Response:
        checks = await health.run()
        for name, result in checks.items():
            metrics.ready(name, result == PASSED)
        failing = [name for name, result in checks.items() if result != PASSED]
        if not failing:
            return _json({"status": "ready", "checks": checks, **health.facts()})
        detail = f"failing: {', '.join(failing)}"
        body = problem(503, NOT_READY, detail, correlation.get(), failing=failing, checks=checks, **health.facts())
        return Response(body, 503, media_type=MEDIA_TYPE)

    @routes.get("/metrics", summary="Prometheus exposition; docs/metrics.md explains each")
    async def exposition() -> Response:
        before_exposition()
        content, media_type = metrics.exposition()
        return Response(content, headers={"content-type": media_type})

    return routes


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
