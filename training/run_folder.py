"""The folder of a run: which recipe and which recordings it belongs to.

A run is resumed from what lies there, so nothing of another recipe or of other data may lie there.
"""

import hashlib
from pathlib import Path

from training.config import TrainingConfig
from training.datasets.prepared import Prepared

CONFIG_FILE = "config.json"
DATA_FILE = "data.sha256"


def claim(out: Path, config: TrainingConfig, data: Prepared) -> None:
    """Make the folder that of this recipe on these recordings.

    Raises ValueError when it is that of another recipe or of other recordings.
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe, recordings = out / CONFIG_FILE, out / DATA_FILE
    if recipe.exists() and TrainingConfig.load(recipe) != config:
        raise ValueError(f"{out} holds a run of another config; choose another folder")
    fingerprint = _fingerprint(data)
    if recordings.exists() and recordings.read_text().strip() != fingerprint:
        raise ValueError(f"{out} holds a run on other recordings or features; choose another folder")
    recipe.write_text(config.to_json() + "\n")
    recordings.write_text(fingerprint + "\n")


def _fingerprint(data: Prepared) -> str:
    """Of names, labels and features; the signals are behind the features."""
    digest = hashlib.sha256("\n".join(data.recording_ids).encode())
    digest.update(data.labels.tobytes())
    digest.update(data.features.tobytes())
    return digest.hexdigest()
