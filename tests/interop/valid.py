"""An independent judge of FHIR content: the classes of fhir.resources."""

from importlib import import_module
from typing import Any


def valid(type: str, content: bytes) -> Any:
    """The content as an object of `fhir.resources.R4B`; fails where it is no valid resource of this type."""
    model = getattr(import_module(f"fhir.resources.R4B.{type.lower()}"), type)
    return model.model_validate_json(content)
