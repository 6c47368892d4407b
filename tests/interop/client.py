"""An HTTP client that calls an ASGI application in this process; each call has an event loop of its own."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp

BASE = "http://ecg.example"


@dataclass(frozen=True)
class Client:
    """Errors that the application lets through are raised here, as a server would see them."""

    app: ASGIApp

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request."""
        return self.together([(method, path, options)])[0]

    def get(self, path: str, **options: Any) -> httpx.Response:
        """One GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """One POST."""
        return self.request("POST", path, **options)

    def together(self, requests: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[httpx.Response]:
        """Requests that run at the same time; the answers in the order of the requests."""
        return asyncio.run(self._all(requests))

    async def _all(self, requests: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[httpx.Response]:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            calls = (client.request(method, path, **options) for method, path, options in requests)
            return list(await asyncio.gather(*calls))
