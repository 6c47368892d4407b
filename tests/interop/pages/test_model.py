"""`/model`, through the application, with the card of the shipped model."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from actions.policy import load_policy
from interop.pages.model import router
from interop.problem import MEDIA_TYPE
from tests.conftest import ROOT
from tests.interop.service import Service, running

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOSTILE = "<script>alert(1)</script> {{ 7 * 7 }}"


@pytest.fixture
def card() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "models/resnet18-ptbxl/0.3.0/card.json").read_text())
    return found


@pytest.fixture
def service() -> Iterator[Service]:
    with running() as started:
        yield started


def get(service: Service, card: dict[str, Any] | None, **headers: str) -> httpx.Response:
    """From an application of the one route, whose model has this card."""

    async def ask() -> httpx.Response:
        app = FastAPI()
        app.include_router(router(replace(service.intake, card=lambda: card)))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/model", headers=headers)

    return asyncio.run(ask())


def test_a_program_gets_the_31_attributes_of_the_model_and_rules_in_force(
    service: Service, card: dict[str, Any]
) -> None:
    response = get(service, card)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["vary"] == "Accept"
    found = response.json()
    assert found["regulation"] == "45 CFR 170.315(b)(11)(iv)(B)"
    assert [category["paragraph"] for category in found["categories"]] == [f"({n})" for n in range(1, 10)]
    assert sum(len(category["attributes"]) for category in found["categories"]) == 31
    assert (found["model"]["version"], found["model"]["files"]) == (card["version"], card["files"])
    assert found["rules"]["sha256"] == load_policy().info.sha256


def test_a_browser_gets_a_page_with_the_same_and_no_script(service: Service, card: dict[str, Any]) -> None:
    response = get(service, card, **BROWSER)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["vary"] == "Accept"
    text = response.text
    assert "<script" not in text
    for expected in (
        "(7)(ii)",
        "Judged out of fold on 335 recordings",
        "Not available: no funding source",
        "candidate",
    ):
        assert expected in text


def test_texts_of_a_card_are_shown_and_never_run(service: Service, card: dict[str, Any]) -> None:
    text = get(service, {**card, "intended_use": HOSTILE}, **BROWSER).text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in text


def test_a_model_without_a_card_is_not_found(service: Service) -> None:
    response = service.client.get("/model")
    assert response.status_code == 404
    assert response.headers["content-type"] == MEDIA_TYPE
