"""What this service says of its own resources: profiles, extensions, code systems, value sets, search parameters.

They are files in `profiles/`, named `Type-id.json`. The profiles' snapshots are written by `scripts/profiles.py`; all
else is written by hand. docs/profiles.md lists them.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources as packaged
from types import MappingProxyType

import orjson

from inference.errors import NotFound
from interop.resources.codes import Json

FOLDER = "profiles"


@cache  # half a megabyte that a service without readers of it never needs
def resources() -> Mapping[str, Mapping[str, Json]]:
    """Every conformance resource, by type and id."""
    found: dict[str, dict[str, Json]] = {}
    for file in sorted(packaged.files(__package__).joinpath(FOLDER).iterdir(), key=lambda file: file.name):
        content: Json = orjson.loads(file.read_bytes())
        found.setdefault(content["resourceType"], {})[content["id"]] = content
    return MappingProxyType({name: MappingProxyType(by_id) for name, by_id in found.items()})


def resource(type: str, id: str) -> Json:
    """One of them. Raises NotFound."""
    found = resources().get(type, {}).get(id)
    if found is None:
        raise NotFound(f"there is no {type} {id[:64]!r}")
    return found


def by_url(type: str, url: str) -> Json | None:
    """The one with a canonical URL, with or without `|version`; None when there is none."""
    canonical, _, version = url.partition("|")
    found = next((it for it in resources().get(type, {}).values() if it["url"] == canonical), None)
    return found if found and version in ("", found["version"]) else None


def supported_profiles(type: str) -> list[str]:
    """The canonical URLs of the profiles on a resource type (CapabilityStatement.rest.resource.supportedProfile)."""
    return [profile["url"] for profile in resources()["StructureDefinition"].values() if profile["type"] == type]
