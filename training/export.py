"""From a finished run to a released model: torch weights -> ONNX, checked against each other, then int8 from that if it
is good enough, with card and pointer."""

import copy
import logging
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from inference.artifact import MODELS, ONNX_FILE, POINTER_FILE, TORCH_FILE
from inference.classifier import onnx_runner
from inference.features import FEATURE_NAMES, FEATURES_VERSION
from inference.labels import Superclass
from inference.network import EcgNetwork, Probabilities, load_network, parameter_count
from inference.pointer import Step, activate
from inference.prediction import ModelStatus
from inference.prepare import MODEL_SAMPLES, PREPROCESSING_VERSION, preprocessing_hash
from inference.recording import LEADS
from training.card import assessment_json, file_sha256, write_card
from training.card_texts import DATA, INTENDED_USE, LIMITS
from training.commit import current_commit
from training.config import TrainingConfig
from training.datasets.catalog import open_dataset
from training.datasets.composition import composition
from training.datasets.entry import Entry, Split
from training.datasets.prepared import Prepared, load_prepared
from training.out_of_fold import OUT_OF_FOLD_FILE, OutOfFold
from training.quantize import Int8, release_int8
from training.run_folder import CONFIG_FILE
from training.scores import assess, predict
from training.train import WEIGHTS_FILE

OPSET = 18
MAX_PARITY = 1e-4  # largest accepted difference of a probability
PARITY_RECORDINGS = 32
DEFAULT_THRESHOLD = 0.3
OUT_OF_FOLD = "out-of-fold"  # name of the cross-validation's figures in the card

ARCHITECTURE = "1D ResNet-18 on 12 x 5,000 samples, perceptron and boosted trees on clinical features, blended"


class ParityBroken(Exception):
    """The ONNX graph does not calculate what the torch network does."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The released files and how well they agree."""

    folder: Path
    parity: float
    int8: Int8


def export(
    run: Path,
    data_folder: Path,
    models: Path = MODELS,
    *,
    kind: str = "ptbxl",
    cache: Path = Path("var/cache"),
    thresholds: Mapping[Superclass, float] | None = None,
) -> Exported:
    """Release a finished run as `models/<name>/<version>`: a candidate. The first release there becomes the one that
    `champion.json` points to.

    kind: of the data set in `data_folder` that the run was trained on.

    The card gets the scores on the validation split, and those of networks trained by the same recipe on the recordings
    that they were not shown in cross-validation; `training.assessment` adds others. Every file there is replaced.
    Raises ParityBroken, before anything points to the model, FileNotFoundError when the run is not finished.
    """
    config = TrainingConfig.load(run / CONFIG_FILE)
    network = load_network(run / WEIGHTS_FILE)
    folder = models / config.name / config.version
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / WEIGHTS_FILE, folder / TORCH_FILE)
    to_onnx(network, folder / ONNX_FILE)
    data_set = open_dataset(kind, data_folder)
    val = load_prepared(data_set.entries(Split.VAL), cache, drop_unusable=not data_set.curated)
    parity = check_parity(network, folder / ONNX_FILE, val)
    decided = thresholds or dict.fromkeys(Superclass, DEFAULT_THRESHOLD)
    card = _card(config, network, folder, parity, decided)
    card["data"] = {
        "kind": kind,
        **DATA[kind],
        "splits": {Split.TRAIN.value: _counts(data_set.training_entries()), Split.VAL.value: _counts(val.entries)},
        "composition": composition(data_set),
    }
    card["metrics"] = {Split.VAL.value: assessment_json(assess(val.labels, predict(network, val), decided))}
    if (run / OUT_OF_FOLD_FILE).is_file():
        found = OutOfFold.load(run / OUT_OF_FOLD_FILE)
        scores = assess(found.labels, found.probabilities, decided, found.patient_ids)
        card["metrics"][OUT_OF_FOLD] = assessment_json(scores)
    write_card(folder, card)
    int8 = release_int8(folder, data_folder, kind=kind, cache=cache)
    if not (models / POINTER_FILE).exists():  # the first release; after it, `promote` and `model activate` decide
        activate(models, config.name, config.version, by="export", reason="", at=datetime.now(UTC), step=Step.RELEASE)
    return Exported(folder, parity, int8)


def to_onnx(network: EcgNetwork, path: Path) -> None:
    """Write the network with its sigmoid as one file: inputs `signal` and `features`, output `probabilities`, the
    batch size left open."""
    example = (torch.zeros(2, len(LEADS), MODEL_SAMPLES), torch.zeros(2, network.config.features))
    batch = torch.export.Dim("batch")
    # The exporter lists every operator of torchvision that is not installed; none is used here.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name: batch", UserWarning)  # both inputs share it, as they should
        warnings.simplefilter("ignore", FutureWarning)  # torch's exporter uses what torch deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.onnx.export(
            Probabilities(folded(network)).eval(),
            example,
            input_names=["signal", "features"],
            output_names=["probabilities"],
            dynamic_shapes={"signal": {0: batch}, "features": {0: batch}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    program.save(path, external_data=False)
    _strip(path)


def folded(network: EcgNetwork) -> EcgNetwork:
    """A copy that calculates the same with the normalisation after the stem inside of the stem's two convolutions.

    The exporter does that where a normalisation follows one convolution. Here it would stay, and in int8 be calculated
    in fp32: 0.2 ms of 2.3."""
    made = copy.deepcopy(network).eval()
    signal, norm = made.signal, made.signal.trunk[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        for stem in (signal.shape_stem, signal.size_stem):
            stem.weight.mul_(scale[:, None, None, None])
        signal.shape_stem.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
    signal.trunk[0] = nn.Identity()
    return made


def _strip(path: Path) -> None:
    """Take out what the exporter notes of the machine it ran on, such as source paths: no calculation reads it, and
    without it the same network gives the same bytes wherever it is exported."""
    model = onnx.load(path)
    for graph in (model.graph, *model.functions):
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
        value.ClearField("doc_string")
    onnx.save(model, path)


def check_parity(network: EcgNetwork, path: Path, data: Prepared) -> float:
    """The largest difference of a probability on real recordings. Raises ParityBroken above `MAX_PARITY`."""
    rows = slice(0, PARITY_RECORDINGS)
    signals, features = np.array(data.signals[rows]), data.features[rows]
    with torch.inference_mode():
        expected = torch.sigmoid(network(torch.from_numpy(signals), torch.from_numpy(features))).numpy()
    difference = float(np.abs(onnx_runner(path)(signals, features) - expected).max())
    if not difference <= MAX_PARITY:
        raise ParityBroken(f"{path}: probabilities differ by up to {difference:.1e}")
    return difference


def _card(
    config: TrainingConfig, network: EcgNetwork, folder: Path, parity: float, thresholds: Mapping[Superclass, float]
) -> dict[str, Any]:
    return {
        "name": config.name,
        "version": config.version,
        "status": ModelStatus.CANDIDATE.value,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": current_commit(Path(__file__).parent),
        "files": {name: file_sha256(folder / name) for name in (ONNX_FILE, TORCH_FILE)},
        "network": {
            "architecture": ARCHITECTURE,
            "parameters": parameter_count(network),
            "opset": OPSET,
            "parity": parity,
        },
        "preprocessing": {"version": PREPROCESSING_VERSION, "sha256": preprocessing_hash()},
        "features": {"version": FEATURES_VERSION, "names": list(FEATURE_NAMES)},
        "thresholds": {c.value: thresholds[c] for c in Superclass},
        "groups": {},
        "training": asdict(config),
        "intended_use": INTENDED_USE,
        "limits": list(LIMITS),
    }


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    labels = {e.recording_id: e.labels for e in entries}  # one that comes at two sampling rates counts once
    return {
        "recordings": len(labels),
        **{c.value: sum(found.get(c, False) for found in labels.values()) for c in Superclass},
    }
