"""Media types in Content-Type and Accept (RFC 9110 sections 8.3 and 12.5.1)."""

from collections.abc import Mapping


def media_type(text: str) -> tuple[str, dict[str, str]]:
    """`type/subtype` in lower case, and its parameters with names in lower case."""
    first, *rest = text.split(";")
    pairs = (part.partition("=") for part in rest)
    return first.strip().lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def ranges(accept: str | None) -> list[str]:
    """The media ranges of an Accept header, the most wanted first, without those at quality 0. No header: `*/*`."""
    parts = [part.strip() for part in (accept or "*/*").split(",") if part.strip()]
    ranked = [(_quality(part), part) for part in parts]
    return [part for quality, part in sorted(ranked, key=lambda r: -r[0]) if quality > 0]


def preferred(accept: str | None, offered: Mapping[str, str]) -> str | None:
    """What to answer in: `offered` maps a media range without parameters to the type that answers it."""
    found = (offered.get(media_type(part)[0]) for part in ranges(accept))
    return next((answer for answer in found if answer is not None), None)


def _quality(part: str) -> float:
    """0 to 1; a quality that cannot be read counts as 0."""
    try:
        return float(media_type(part)[1].get("q", "1"))
    except ValueError:
        return 0.0
