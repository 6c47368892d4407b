"""The model and the rules that a past analysis was made by, found by their checksums."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actions.analysis import PolicyInfo
from actions.policy import load_policy
from actions.rules import Policy
from inference.artifact import CARD_FILE, INT8_FILE, MODELS, ONNX_FILE, PACKAGED, TORCH_FILE, read_card
from inference.classifier import Backend, Classifier, load_classifier
from inference.errors import ConfigurationError, ModelInvalid
from inference.precision import Precision
from inference.prediction import ModelInfo

# The checksum in a result is that of the file that ran, which tells back end and precision.
RAN: dict[str, tuple[Backend, Precision]] = {
    ONNX_FILE: ("onnx", Precision.FP32),
    INT8_FILE: ("onnx", Precision.INT8),
    TORCH_FILE: ("torch", Precision.AUTO),
}


@dataclass(frozen=True, slots=True)
class Ran:
    """A released file that ran: which one, of which release."""

    folder: Path
    file: str

    def load(self) -> Classifier:
        """Verify it and run it as then. Raises ModelInvalid, ModelUnavailable."""
        backend, precision = RAN[self.file]
        return load_classifier(self.folder, backend, precision)


def find_ran(model: ModelInfo, setting: Path | None) -> Ran:
    """The file with the checksum of `model`, in a release of its name and version, active or not. setting: `ECG_MODEL`.

    Raises ModelInvalid, naming the checksum, where it is not there."""
    looked = [place for place in dict.fromkeys((*_places(setting), MODELS, PACKAGED)) if place.is_dir()]
    named = [(folder, card) for folder, card in _cards(looked) if _is(card, model)]
    for folder, card in named:
        for file in RAN:
            if card["files"].get(file) == model.sha256:
                return Ran(folder, file)
    places = ", ".join(str(place.resolve()) for place in looked) or "any folder"
    if named:
        there = ", ".join(str(folder) for folder, _ in named)
        raise ModelInvalid(
            f"{there}: {model.name} {model.version} has other weights; those of SHA-256 {model.sha256} are needed"
        )
    raise ModelInvalid(f"model {model.name} {model.version}, SHA-256 {model.sha256}, is not released in {places}")


def find_rules(info: PolicyInfo, setting: Path | None) -> Policy:
    """The rules with that checksum: those of `ECG_RULES`, or the shipped ones. Raises ConfigurationError, naming it."""
    found = [load_policy(path) for path in dict.fromkeys((setting, None))]
    for policy in found:
        if policy.info.sha256 == info.sha256:
            return policy
    here = ", ".join(f"{policy.info.name} {policy.info.version} ({policy.info.sha256})" for policy in found)
    raise ConfigurationError(
        f"rules {info.name} {info.version}, SHA-256 {info.sha256}, are needed: let ECG_RULES name them. Here are {here}"
    )


def _places(setting: Path | None) -> Iterator[Path]:
    """Where the releases beside the one that is set may be: a release stands in `<models>/<name>/<version>`."""
    if setting is None:
        return
    folder = setting if setting.is_dir() else setting.parent
    yield folder
    if (folder / CARD_FILE).is_file():
        yield folder.resolve().parents[1]


def _cards(places: list[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for place in places:
        for path in (place / CARD_FILE, *sorted(place.glob(f"*/*/{CARD_FILE}"))):
            try:
                yield path.parent, read_card(path.parent)
            except ModelInvalid:  # a broken card is not the one that was verified then
                continue


def _is(card: dict[str, Any], model: ModelInfo) -> bool:
    return (card["name"], card["version"]) == (model.name, model.version)
