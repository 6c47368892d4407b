"""The model and this software as Devices: who made a result (FHIR R4 Device).

R4 allows no Device as DiagnosticReport.performer; it is Provenance.agent.who and ServiceRequest.requester. A Device's
id follows from its name, version and checksum, so the same model is the same Device everywhere.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from inference.prediction import ModelInfo
from interop.resources.codes import OWN_DEVICE_IDENTIFIERS, Json

SOFTWARE = "ecg-clinical-action-recommender"


@lru_cache(maxsize=16)  # every analysis names the model that serves
def model_device(model: ModelInfo) -> Mapping[str, Any]:
    """The model that made a prediction."""
    return _device(model.name, model.version, "ECG classification model") | {
        "identifier": [_identifier(model.name, model.version, model.sha256)],
        "id": _id(model.name, model.version, model.sha256),
        "version": [_version("model", model.version), _version("sha256", model.sha256)],
    }


@cache
def software_device() -> Mapping[str, Any]:
    """This service, which assembles the results and measures."""
    number = software_version()
    return _device(SOFTWARE, number, "ECG clinical decision support software") | {
        "identifier": [_identifier(SOFTWARE, number)],
        "id": _id(SOFTWARE, number),
        "version": [_version("software", number)],
    }


def software_version() -> str:
    """Of this program as it is installed."""
    try:
        return version(SOFTWARE)
    except PackageNotFoundError:  # run from a source tree that was not installed
        return "unreleased"


def _device(name: str, number: str, kind: str) -> Json:
    return {
        "resourceType": "Device",
        "status": "active",
        "deviceName": [{"name": name, "type": "model-name"}],
        "modelNumber": number,
        "type": {"text": kind},
    }


def _identifier(*parts: str) -> Json:
    return {"system": OWN_DEVICE_IDENTIFIERS, "value": "|".join(parts)}


def _id(*parts: str) -> str:
    return str(uuid5(NAMESPACE_URL, "|".join((OWN_DEVICE_IDENTIFIERS, *parts))))


def _version(kind: str, value: str) -> Json:
    return {"type": {"text": kind}, "value": value}
