"""Templates, and the headers that every page goes out with.

Nothing on a page runs or loads anything: the policy allows the one stylesheet that stands in the page, known by its
hash (Content Security Policy Level 3, section 6.7.3.3), and nothing else. Jinja2 escapes all that it is given.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from fastapi import Response

if TYPE_CHECKING:
    from jinja2 import Environment

HTML = "text/html; charset=utf-8"
STYLESHEET = "page.css"


def respond(
    template: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
    /,
    *,
    sheet: str = STYLESHEET,
    **values: object,
) -> Response:
    """A template as an answer. sheet: its stylesheet. values: what it sets."""
    content = _environment().get_template(template).render(stylesheet=_stylesheet(sheet), **values)
    return Response(content, status, headers=_guards(sheet) | (headers or {}), media_type=HTML)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # on first use: it takes 0.1 s

    return Environment(
        loader=PackageLoader("interop.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _stylesheet(sheet: str) -> "Stylesheet":
    return Stylesheet(files("interop.pages").joinpath("templates", sheet).read_text())


class Stylesheet(str):
    """CSS of our own, which goes into a page as it is."""

    def __html__(self) -> str:
        """Not escaped: the browser takes the content of a style element literally."""
        return self


@cache
def _guards(sheet: str) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(_stylesheet(sheet).encode()).digest()).decode()
    policy = (
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
