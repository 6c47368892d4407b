"""`serve` and `demo`."""

import gc
import sys
from typing import Annotated, Any

import typer

from interop import logs
from interop.settings import Settings

Host = Annotated[str | None, typer.Option(help="address to bind to (ECG_HOST)")]
HttpPort = Annotated[int | None, typer.Option(help="HTTP port, 0 for any free one (ECG_HTTP_PORT)")]
MllpPort = Annotated[int | None, typer.Option(help="MLLP port, 0 for any free one (ECG_MLLP_PORT)")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(serve)
    app.command()(demo)


def serve(host: Host = None, http_port: HttpPort = None, mllp_port: MllpPort = None) -> None:
    """Run the service until Ctrl-C or SIGTERM; prints one JSON line with the bound ports once it is ready."""
    gc.disable()  # loading makes hardly any garbage; `serving.settle_memory` turns it on again
    from interop import bootstrap

    settings = _settings(host=host, http_port=http_port, mllp_port=mllp_port)
    logs.configure(settings.log_level)

    def ready(listening: bootstrap.Listening) -> None:
        sys.stdout.write(listening.as_json().decode() + "\n")
        sys.stdout.flush()

    bootstrap.serve(settings, ready)


def demo(
    host: Host = None,
    http_port: HttpPort = None,
    mllp_port: MllpPort = None,
    once: Annotated[bool, typer.Option("--once", help="exit after the two ECGs")] = False,
) -> None:
    """Start the service and send one real ECG through the FHIR door and one through the MLLP door."""
    from interop.demo import run

    run(_settings(host=host, http_port=http_port, mllp_port=mllp_port), once=once)


def _settings(**given: Any) -> Settings:
    return Settings(**{name: value for name, value in given.items() if value is not None})
