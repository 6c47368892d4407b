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
    """The Bundle of one page of a search. cut: what is shown of a resource, the whole without it."""
    return listed(
        f"{base}/{query.search.type}",
        matches(page, base, cut),
        understood=query.understood,
        following=query.following(page.next),
        total=page.total,
        ignored=described(query),
    )


def listed(
    url: str,
    entries: Iterable[Json],
    *,
    understood: Pairs,
    following: str | None = None,
    total: int | None = None,
    ignored: Iterable[str] = (),
) -> bytes:
    """A searchset Bundle. understood: the parameters that were used. following: the cursor of the next page.
    ignored: what was not used of the search, in words."""
    document: Json = {"resourceType": "Bundle", "type": "searchset"}
    if total is not None:
        document["total"] = total
    document["link"] = links(url, understood, following)
    warnings = [Issue("warning", "not-supported", text) for text in ignored]
    told = [{"resource": outcome(*warnings), "search": {"mode": "outcome"}}] if warnings else []
    return orjson.dumps(_with_entries(document, [*entries, *told]))


def matches(page: Page, base: str, cut: Cut | None = None) -> list[Json]:
    """The entries of a page: what was searched for, and what belongs to it. cut: what is shown of a resource, the whole
    without it."""
    found = [(one, "match") for one in page.documents] + [(one, "include") for one in page.included]
    return [
        entry(f"{one.type}/{one.id}", orjson.Fragment(one.content if cut is None else cut(one.content)), base, mode)
        for one, mode in found
    ]


def entry(name: str, resource: Any, base: str, mode: str = "match") -> Json:
    """An entry of a searchset. name: `Type/id`. resource: what orjson takes. mode: match or include."""
    return {"fullUrl": f"{base}/{name}", "resource": resource, "search": {"mode": mode}}


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


def _version(stored: Document, base: str) -> Json:
    """A version as the request that made it: what was created by an update reads as a create."""
    name = f"{stored.type}/{stored.id}"
    method, status = ("DELETE", HTTPStatus.NO_CONTENT) if stored.deleted else ("PUT", HTTPStatus.OK)
    if stored.version == 1:
        method, status = "POST", HTTPStatus.CREATED
    shown: Json = {"fullUrl": f"{base}/{name}"}
    if not stored.deleted:
        shown["resource"] = orjson.Fragment(stored.content)
    return shown | {
        "request": {"method": method, "url": stored.type if method == "POST" else name},
        "response": {
            "status": f"{status.value} {status.phrase}",
            "location": f"{base}/{name}/_history/{stored.version}",
            "etag": f'W/"{stored.version}"',
            "lastModified": instant(stored.last_updated),
        },
    }
