"""Times on the command line."""

from datetime import UTC, datetime

import typer


def parse_time(text: str) -> datetime:
    """A date is its beginning, a time without an offset is in UTC. Raises BadParameter."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date (2026-01-31) or time (2026-01-31T12:00:00Z)") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
