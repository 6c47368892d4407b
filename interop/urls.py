"""Where this service is, as its clients address it."""

from fastapi import Request

from interop.settings import Settings


def root_url(request: Request, settings: Settings) -> str:
    """`ECG_PUBLIC_URL`, or as the client addressed us; without a slash at the end."""
    return (settings.public_url or str(request.base_url)).rstrip("/")
