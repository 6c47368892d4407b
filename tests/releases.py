"""Released models of a few hundred bytes: real folders with real ONNX graphs, which say always the same."""

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from inference.artifact import CARD_FILE, ONNX_FILE, POINTER_FILE
from inference.features import FEATURE_NAMES, FEATURES_VERSION
from inference.labels import Superclass
from inference.prepare import MODEL_SAMPLES, PREPROCESSING_VERSION, preprocessing_hash
from inference.recording import LEADS

INTERVAL = {"value": 0.93, "low": 0.91, "high": 0.95}
SCORES = {"positives": 50, "auc": INTERVAL, "sensitivity": 0.8, "specificity": 0.8}


def release(
    models: Path, version: str, *, name: str = "fixed", status: str = "champion", mi: float = 0.9, **card: Any
) -> Path:
    """A release whose model gives MI this probability and 0.05 to every other class. card: other members of it."""
    folder = models / name / version
    folder.mkdir(parents=True)
    content = graph(mi).SerializeToString()
    (folder / ONNX_FILE).write_bytes(content)
    metrics = {"recordings": 200, "macro_auc": INTERVAL, "classes": {c.value: SCORES for c in Superclass}}
    members: dict[str, Any] = {
        "name": name,
        "version": version,
        "status": status,
        "created": "2026-01-01T00:00:00+00:00",
        "commit": None,
        "files": {ONNX_FILE: hashlib.sha256(content).hexdigest()},
        "network": {"architecture": "none: always the same", "parameters": 5, "opset": 18, "parity": 0.0},
        "preprocessing": {"version": PREPROCESSING_VERSION, "sha256": preprocessing_hash()},
        "features": {"version": FEATURES_VERSION, "names": list(FEATURE_NAMES)},
        "thresholds": {c.value: 0.3 for c in Superclass},
        "data": {"source": "none", "citation": "none", "licence": "none", "splits": {}},
        "metrics": {"val": metrics, "test": metrics},
        "groups": {},
        "training": {},
        "intended_use": "tests",
        "limits": [],
    }
    (folder / CARD_FILE).write_text(json.dumps(members | card))
    return folder


def point(models: Path, path: str) -> None:
    """A pointer as a release leaves it, without a history."""
    name, _, version = path.rpartition("/")
    (models / POINTER_FILE).write_text(json.dumps({"name": name, "version": version, "path": path}))


def change_card(folder: Path, **members: Any) -> None:
    """Other members of a released card."""
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | members))


def graph(mi: float) -> onnx.ModelProto:
    """(batch, 12, 5000) and (batch, n) -> the same five probabilities for each of the batch."""
    probabilities = [mi if c is Superclass.MI else 0.05 for c in Superclass]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    inputs = [
        helper.make_tensor_value_info("signal", TensorProto.FLOAT, ["batch", len(LEADS), MODEL_SAMPLES]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", len(FEATURE_NAMES)]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["signal", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "last"], ["column"]),
        helper.make_node("Add", ["column", "fixed"], ["probabilities"]),
    ]
    constants = [
        axes,
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        helper.make_tensor("fixed", TensorProto.FLOAT, [1, len(Superclass)], probabilities),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(Superclass)])]
    made = helper.make_graph(nodes, "fixed", inputs, outputs, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
