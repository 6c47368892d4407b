"""A released model on disk: a folder with `model.onnx`, the torch weights, `card.json` and `README.md`; often also
`model.int8.onnx`, the same network in 8-bit integers.

The card is the contract between the weights and this code. It is checked before anything runs: its form, the checksum
of every graph that may run, and that the code prepares signals and features just as they were prepared in training. A
model that fails any of it is refused; there is no way to load it all the same.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from inference.errors import ConfigurationError, ModelInvalid
from inference.features import FEATURE_NAMES, FEATURES_VERSION
from inference.labels import Superclass
from inference.prediction import ModelInfo, ModelStatus
from inference.prepare import PREPROCESSING_VERSION, preprocessing_hash

CARD_FILE = "card.json"
ONNX_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
TORCH_FILE = "model.pt"
POINTER_FILE = "champion.json"
SCHEMA_FILE = "card.schema.json"

MODELS = Path("models")  # relative to where the service is started
PACKAGED = Path(__file__).parent / "released"  # filled when the wheel is built


@dataclass(frozen=True, slots=True, eq=False)
class Artifact:
    """A model whose card and checksums hold. card: the whole card, for those who report on the model."""

    folder: Path
    card: Mapping[str, Any]

    @property
    def thresholds(self) -> dict[Superclass, float]:
        """Decision threshold of each superclass."""
        return {c: float(self.card["thresholds"][c]) for c in Superclass}

    @property
    def graphs(self) -> tuple[str, ...]:
        """The ONNX files that were released: fp32 always, int8 if it was good enough."""
        return tuple(file for file in (ONNX_FILE, INT8_FILE) if file in self.card["files"])

    def info(self, file: str = ONNX_FILE) -> ModelInfo:
        """The identity of the model when these weights run."""
        return ModelInfo(
            name=self.card["name"],
            version=self.card["version"],
            status=ModelStatus(self.card["status"]),
            sha256=self.card["files"][file],
            waived=waived_text(self.card),
        )

    def verified(self, file: str) -> Path:
        """Path of a file of the model. Raises ModelInvalid when it is absent or not the one that was released."""
        path = self.folder / file
        expected = self.card["files"].get(file)
        if expected is None or not path.is_file():
            raise ModelInvalid(f"{path}: this model was released without it, or it was removed", element=str(path))
        with path.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
        if actual != expected:
            raise ModelInvalid(f"{path}: SHA-256 is {actual}, the card says {expected}", element=str(path))
        return path


def waived_text(card: Mapping[str, Any]) -> str | None:
    """What readers of a result must know of a model that was promoted by waiver; None without one."""
    waiver = card.get("waiver")
    return str(waiver["says"]) if waiver else None


def find_models(setting: Path | None) -> Path:
    """The folder whose `champion.json` says what is served: that of `ECG_MODEL` where it names such a folder or file,
    else `./models`. Raises ConfigurationError when `ECG_MODEL` pins one release: then nothing can be activated."""
    if setting is None:
        return MODELS
    if setting.name == POINTER_FILE:
        return setting.parent
    if setting.is_dir() and not (setting / CARD_FILE).is_file():
        return setting
    raise ConfigurationError(
        f"ECG_MODEL pins {setting}: to activate models, unset it or let it name a folder with {POINTER_FILE}"
    )


def find_model(setting: Path | None) -> Path:
    """The folder of the model to serve: the one that is named (`ECG_MODEL`), else the champion of `./models`, else the
    one packaged with this code. `setting` may be a model's folder, a pointer file, or a folder with `champion.json`.

    Raises ModelInvalid when there is none, or a pointer is broken.
    """
    if setting is not None:
        return _resolved(setting)
    for place in (MODELS, PACKAGED):
        if (place / POINTER_FILE).is_file() or (place / CARD_FILE).is_file():
            return _resolved(place)
    raise ModelInvalid(f"no model: ECG_MODEL is not set, and neither {MODELS.resolve()} nor the package has one")


def load_artifact(folder: Path) -> Artifact:
    """Read and verify a released model. Raises ModelInvalid, naming the file and the reason."""
    card = read_card(folder)
    _refuse(folder, mismatches(card))
    artifact = Artifact(folder, card)
    for file in artifact.graphs:
        artifact.verified(file)
    return artifact


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a released model, whether or not this code can serve it. Raises ModelInvalid when it breaks its
    schema."""
    card = read_json(folder / CARD_FILE)
    _refuse(folder, _schema_errors(card))
    return card


def mismatches(card: Mapping[str, Any]) -> Iterator[str]:
    """How this code would feed the model otherwise than in training: reasons not to serve it."""
    trained = card["preprocessing"]
    if trained["sha256"] != preprocessing_hash():
        yield f"trained with preprocessing {trained['version']}, this code has {PREPROCESSING_VERSION} or differs"
    features = card["features"]
    if features["version"] != FEATURES_VERSION or tuple(features["names"]) != tuple(FEATURE_NAMES):
        yield f"trained with features {features['version']}, this code has {FEATURES_VERSION} or other names"


def _refuse(folder: Path, reasons: Iterator[str]) -> None:
    found, path = "; ".join(reasons), folder / CARD_FILE
    if found:
        raise ModelInvalid(f"{path}: {found}", element=str(path))


def _resolved(place: Path) -> Path:
    if (place / CARD_FILE).is_file():
        return place
    pointer = place / POINTER_FILE if place.is_dir() else place
    target = read_json(pointer).get("path")
    if not isinstance(target, str):
        raise ModelInvalid(f"{pointer}: has no path of a model", element=str(pointer))
    return pointer.parent / target


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file. Raises ModelInvalid when it is absent or none."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelInvalid(f"{path}: {error}", element=str(path)) from error
    if not isinstance(value, dict):
        raise ModelInvalid(f"{path}: is no JSON object", element=str(path))
    return value


def _schema_errors(card: dict[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator  # on first use: commands that load no model do not wait for it

    schema = json.loads(resources.files("inference").joinpath(SCHEMA_FILE).read_bytes())
    for error in Draft202012Validator(schema).iter_errors(card):
        yield f"{error.json_path}: {error.message}"
