"""Bundles in answer: searchset and history (FHIR R4 bundle.html). Documents go in as the bytes that are stored."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import orjson

from audit.records import Document, Page
from interop.fhir.outcome import Issue, outcome
from interop.fhir.parameters import CURSOR
from interop.fhir.search import Pairs, Query, described
from interop.resources.times import instant

Json = dict[str, Any]
Cut = Callable[[bytes], bytes]


def searchset(query: Query, page: Page, base: str, cut: Cut | None = None) -> bytes:
    """The Bundle of one page. cut: what is shown of a resource, the whole without it."""
    url = f"{base}/{query.search.type}"
    document: Json = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        document["total"] = page.total
    document["link"] = links(url, query.understood, query.following(page.next))
    entries = [match(stored, base, "match", cut) for stored in page.documents]
    entries += [match(stored, base, "include", cut) for stored in page.included]
    if query.ignored:
        warnings = [Issue("warning", "not-supported", text) for text in described(query)]
        entries.append({"resource": outcome(*warnings), "search": {"mode": "outcome"}})
    return orjson.dumps(_with_entries(document, entries))


def history(page: Page, url: str, base: str, understood: Pairs) -> bytes:
    """The Bundle of one page of versions, newest first."""
    document: Json = {"resourceType": "Bundle", "type": "history"}
    if page.total is not None:
        document["total"] = page.total
    document["link"] = links(url, understood, page.next)
    return orjson.dumps(_with_entries(document, [_version(stored, base) for stored in page.documents]))


def links(url: str, understood: Pairs, following: str | None) -> list[Json]:
    """The links of a page. following: the cursor of the next one."""
    links = [_link("self", url, understood)]
    if following is not None:
        others = [(name, value) for name, value in understood if name != CURSOR]
        links.append(_link("next", url, [*others, (CURSOR, following)]))
    return links


def _link(relation: str, url: str, pairs: Iterable[tuple[str, str]]) -> Json:
    query = urlencode(list(pairs))
    return {"relation": relation, "url": f"{url}?{query}" if query else url}


def _with_entries(document: Json, entries: list[Json]) -> Json:
    return document | {"entry": entries} if entries else document  # FHIR has no empty lists


def match(stored: Document, base: str, mode: str, cut: Cut | None = None) -> Json:
    """An entry of a searchset. mode: match or include."""
    return {
        "fullUrl": f"{base}/{stored.type}/{stored.id}",
        "resource": orjson.Fragment(stored.content if cut is None else cut(stored.content)),
        "search": {"mode": mode},
    }


def _version(stored: Document, base: str) -> Json:
    """A version as the request that made it: what was created by an update reads as a create."""
    name = f"{stored.type}/{stored.id}"
    method, status = ("DELETE", HTTPStatus.NO_CONTENT) if stored.deleted else ("PUT", HTTPStatus.OK)
    if stored.version == 1:
        method, status = "POST", HTTPStatus.CREATED
    entry: Json = {"fullUrl": f"{base}/{name}"}
    if not stored.deleted:
        entry["resource"] = orjson.Fragment(stored.content)
    return entry | {
        "request": {"method": method, "url": stored.type if method == "POST" else name},
        "response": {
            "status": f"{status.value} {status.phrase}",
            "location": f"{base}/{name}/_history/{stored.version}",
            "etag": f'W/"{stored.version}"',
            "lastModified": instant(stored.last_updated),
        },
    }
