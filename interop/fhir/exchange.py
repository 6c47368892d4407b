"""One FHIR request and how its answer is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from fastapi import Request, Response

from audit.records import Document
from interop.fhir.negotiation import Preferences, answer_type, preferences
from interop.fhir.subset import pretty
from interop.settings import Settings
from interop.urls import root_url

PREFIX = "/fhir"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a request wants. base: our own FHIR base URL, without a slash at the end. media_type: of the answer.
    is_pretty: indented, for people."""

    base: str
    media_type: str
    preferences: Preferences
    is_pretty: bool = False

    @classmethod
    def of(cls, request: Request, settings: Settings) -> "Exchange":
        """Raises NotAcceptable."""
        return cls(
            base=base_url(request, settings),
            media_type=answer_type(request.headers.get("accept"), request.query_params.get("_format")),
            preferences=preferences(request.headers.get("prefer")),
            is_pretty=request.query_params.get("_pretty") == "true",
        )

    def answer(self, content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """A resource, or nothing for empty content."""
        if not content:
            return Response(content, status, headers=headers)
        shown = pretty(content) if self.is_pretty else content
        return Response(shown, status, headers=headers, media_type=self.media_type)

    def location(self, document: Document) -> str:
        """The URL of one version."""
        return f"{self.base}/{document.type}/{document.id}/_history/{document.version}"


def base_url(request: Request, settings: Settings) -> str:
    """`ECG_PUBLIC_URL` + `/fhir`, or as the client addressed us."""
    return f"{root_url(request, settings)}{PREFIX}"


def version_headers(document: Document) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {
        "ETag": f'W/"{document.version}"',
        "Last-Modified": format_datetime(document.last_updated.astimezone(UTC), usegmt=True),
    }


def is_unchanged(document: Document, headers: Mapping[str, str]) -> bool:
    """Whether a conditional read may be answered with 304. If-None-Match decides alone where it is given
    (RFC 9110 section 13.2.2); a date that cannot be read is ignored."""
    if tags := headers.get("if-none-match"):
        mine = f'"{document.version}"'
        return tags.strip() == "*" or mine in {tag.strip().removeprefix("W/") for tag in tags.split(",")}
    since = _date(headers.get("if-modified-since"))
    return since is not None and document.last_updated.replace(microsecond=0) <= since


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
