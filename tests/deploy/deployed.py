"""What a description of a deployment may say of this project: settings, commands, ports, paths, metrics and images.

Each function gives the problems it found, in words; no problem is an empty list. The tests of Compose and Kubernetes
share them.
"""

import importlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import typer
from pydantic import ValidationError
from ruamel.yaml import YAML
from starlette.routing import Route
from typer.exceptions import TyperException

from interop import health
from interop.cli import app
from interop.health import Health
from interop.metrics import COUNTERS, GAUGES, HISTOGRAMS, Metrics
from interop.settings import Settings
from orchestration.settings import Settings as PipelineSettings
from tests.conftest import ROOT

SERVING_IMAGE = "ecg-interop"
OPS_IMAGE = "ecg-ops"
ENTRY_POINT = "ecg-interop"  # of the serving image
HTTP_PORT: int = Settings.model_fields["http_port"].default
MLLP_PORT: int = Settings.model_fields["mllp_port"].default
SETTINGS = {f"ECG_{name.upper()}" for name in (*Settings.model_fields, *PipelineSettings.model_fields)}
HTTP_PATHS = {
    route.path for route in health.router(Health({}), Metrics(), lambda: None).routes if isinstance(route, Route)
}
# Click commands behind the console scripts of others.
OTHERS = {
    "dagster": "dagster._cli:cli",
    "dagster-webserver": "dagster_webserver.cli:dagster_webserver",
    "dagster-daemon": "dagster._daemon.cli:cli",
    "mlflow": "mlflow.cli:cli",
}
_REFERENCE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)(?::?([-?])([^}]*))?\}")
_SERIES = {*COUNTERS, *GAUGES} | {f"{name}_{of}" for name in HISTOGRAMS for of in ("bucket", "count", "sum")}


def load_yaml(path: Path) -> Any:
    """One YAML document."""
    return YAML(typ="safe").load(path)


def unknown_settings(names: Iterable[str], *, beside: Iterable[str] = ()) -> list[str]:
    """ECG_* names that no settings class has; `beside` are those that something else reads (Dagster's file)."""
    return [
        f"{name} is no setting" for name in sorted({n for n in names if n.startswith("ECG_")} - SETTINGS - {*beside})
    ]


def refused_settings(environment: Mapping[str, str]) -> list[str]:
    """Values that the service would refuse at start. References (`${NAME}`) must be filled in before."""
    found = []
    for settings in (Settings, PipelineSettings):
        values = {
            name: value
            for variable, value in environment.items()
            if variable.startswith("ECG_") and (name := variable[4:].lower()) in settings.model_fields
        }
        try:
            settings(_env_file=None, **values)  # type: ignore[arg-type]
        except ValidationError as error:
            found += [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    return found


def wrong_command(words: Sequence[str]) -> list[str]:
    """What the command line would refuse: a command, an option or a value that does not exist.

    The first word is the program: `ecg-interop`, or one of Dagster's or MLflow's. Nothing is run."""
    program, *arguments = words
    try:
        if program == ENTRY_POINT:
            _parse(typer.main.get_command(app), program, arguments)
        elif program in OTHERS:
            _parse(_command_of_others(program), program, arguments)
        else:
            return [f"{program} is no program of the images"]
    except (TyperException, click.ClickException) as error:
        return [f"{' '.join(words)}: {error.format_message()}"]
    return []


def _command_of_others(program: str) -> Any:
    module, name = OTHERS[program].split(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of theirs about each other
        return getattr(importlib.import_module(module), name)


def _parse(command: Any, name: str, arguments: Sequence[str], parent: Any = None) -> None:
    """Parse as a group does before it calls: its own options, then those of the command that it names."""
    context = command.make_context(name, list(arguments), parent=parent)
    rest = [*context._protected_args, *context.args]
    if hasattr(command, "resolve_command") and rest:
        found, child, left = command.resolve_command(context, rest)
        assert child is not None
        _parse(child, found, left, context)


def wrong_service_ports(ports: Mapping[str, int]) -> list[str]:
    """Ports of the service by name, `http` and `mllp`, that differ from what it listens on."""
    expected = {"http": HTTP_PORT, "mllp": MLLP_PORT}
    return [f"{name} is {port}, not {expected.get(name)}" for name, port in ports.items() if expected.get(name) != port]


def unknown_paths(paths: Iterable[str]) -> list[str]:
    """Paths of probes and scrapes that the service does not answer."""
    return [f"{path} is none of {sorted(HTTP_PATHS)}" for path in paths if path not in HTTP_PATHS]


def unknown_metrics(names: Iterable[str]) -> list[str]:
    """Series that the service does not give."""
    return [f"{name} is no metric" for name in names if name not in _SERIES]


def dagster_variables(path: Path = ROOT / "deploy/dagster/kubernetes.yaml") -> set[str]:
    """Environment variables that one of Dagster's files reads, so that they must be set where it is used."""
    return set(_env_references(load_yaml(path)))


def _env_references(node: Any) -> Iterable[str]:
    if isinstance(node, Mapping):
        if set(node) == {"env"} and isinstance(node["env"], str):
            yield node["env"]
        for value in node.values():
            yield from _env_references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _env_references(value)


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """A text with each `${NAME}`, `${NAME:-default}` and `${NAME:?message}` as Compose would fill it in.

    Raises KeyError with the message of a variable that has to be there and is not."""

    def fill(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if values.get(name):
            return values[name]
        if operator == "?":
            raise KeyError(rest)
        return rest if operator == "-" else ""

    return _REFERENCE.sub(fill, text)
