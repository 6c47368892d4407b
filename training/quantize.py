"""A released model in 8-bit integers: `model.int8.onnx` beside the fp32 graph that it is made from.

Static quantization (Jacob et al., CVPR 2018): the trunk's weights become int8 with a scale per output channel, its
activations uint8 with a scale per tensor, taken from training recordings. The clinical features, the heads and the
sigmoid stay in fp32: they cost almost no time, and a millivolt or a millisecond should count as measured. So does the
multiplication of each lead by its amplitude; the convolution of what comes out is the trunk's.

Weights use 7 of their 8 bits. The AVX2 kernels add two products in 16 bits and would clip the sum of larger ones; with
7 bits no sum can be clipped, so that every processor calculates the same.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from inference.artifact import INT8_FILE, ONNX_FILE
from inference.classifier import Runner, onnx_runner
from inference.labels import Superclass
from training.card import file_sha256, read_card, rounded, write_card
from training.datasets.catalog import open_dataset
from training.datasets.entry import Split
from training.datasets.prepared import Prepared, load_prepared
from training.scores import Probabilities, macro_auc

MAX_AUC_LOSS = 0.003  # macro-AUC: a tenth of the width of its interval on the validation fold
CALIBRATION_RECORDINGS = 256
BATCH = 8
SEED = 0

TRUNK_OPERATORS = ("Conv", "Relu", "Add", "MaxPool", "AveragePool")
TRUNK_END = "ReduceMax"  # over time: what follows is the heads
METHOD = (
    "onnxruntime static quantization (QDQ): in the trunk activations uint8, weights int8 per channel in 7 bits; "
    "multiplication by the amplitudes, perceptron, trees, heads and blend fp32"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """int8 against fp32 on the validation fold. Differences are of probabilities; decisions_changed: how many of all
    decisions (recordings times superclasses) fell on the other side of their threshold."""

    recordings: int
    fp32_macro_auc: float
    int8_macro_auc: float
    largest_difference: float
    mean_difference: float
    decisions_changed: int

    @property
    def auc_loss(self) -> float:
        """What int8 costs in macro-AUC; negative where it happens to be better."""
        return self.fp32_macro_auc - self.int8_macro_auc


@dataclass(frozen=True, slots=True)
class Int8:
    """How int8 did, and whether it was released."""

    comparison: Comparison
    released: bool


def release_int8(
    folder: Path,
    data_folder: Path,
    *,
    kind: str = "ptbxl",
    cache: Path = Path("var/cache"),
    max_auc_loss: float = MAX_AUC_LOSS,
) -> Int8:
    """Add int8 to the released model in `folder` and to its card, if it loses less than `max_auc_loss`; the other
    weights stay as they are. Calibrated on training recordings of the data set that it learned from, compared on its
    validation split.

    An int8 graph of before is taken away when the new one is not good enough.
    """
    data_set = open_dataset(kind, data_folder)
    train, val = (  # the arrays that the run was trained on
        load_prepared(entries, cache, drop_unusable=not data_set.curated)
        for entries in (data_set.training_entries(), data_set.entries(Split.VAL))
    )
    card = read_card(folder)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / INT8_FILE
        rows = calibration_rows(train)
        quantize(folder / ONNX_FILE, made, train, rows)
        found = compare(onnx_runner(folder / ONNX_FILE), onnx_runner(made), val, _thresholds(card))
        released = found.auc_loss < max_auc_loss
        _withdraw(folder, card)
        if released:
            shutil.copyfile(made, folder / INT8_FILE)
            card["files"][INT8_FILE] = file_sha256(made)
            card["int8"] = {
                "method": METHOD,
                "calibration": {"split": Split.TRAIN.value, "recordings": len(rows)},
                Split.VAL.value: rounded(asdict(found)),
            }
    write_card(folder, card)
    return Int8(found, released)


def quantize(fp32: Path, int8: Path, calibration: Prepared, rows: NDArray[np.intp]) -> None:
    """Write the graph `fp32` in 8-bit integers to `int8`, the ranges of its activations taken from these rows."""
    with tempfile.TemporaryDirectory() as scratch:
        folded = Path(scratch) / "folded.onnx"
        # Symbolic shapes fail on this graph (onnxruntime 1.32: no shape for an input of Concat) and add nothing here:
        # the plain inference gives every tensor of the trunk its shape.
        quant_pre_process(fp32, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            int8,
            Calibration(calibration, rows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(TRUNK_OPERATORS),
            nodes_to_quantize=trunk_nodes(onnx.load(folded).graph),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


class Calibration:
    """Batches of recordings in the form that onnxruntime's calibrator asks for."""

    def __init__(self, data: Prepared, rows: NDArray[np.intp]) -> None:
        self._batches = self._read(data, rows)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch by the names of the graph's inputs, None after the last."""
        return next(self._batches, None)

    @staticmethod
    def _read(data: Prepared, rows: NDArray[np.intp]) -> Iterator[dict[str, NDArray[np.float32]]]:
        for start in range(0, len(rows), BATCH):
            chosen = rows[start : start + BATCH]
            yield {"signal": data.signals[chosen], "features": data.features[chosen]}


def calibration_rows(data: Prepared) -> NDArray[np.intp]:
    """Some recordings, always the same, in order of the file."""
    order = np.random.default_rng(SEED).permutation(len(data))
    return np.sort(order[:CALIBRATION_RECORDINGS])


def trunk_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of all nodes that the pooling over time depends on."""
    makers = {output: node for node in graph.node for output in node.output}
    waiting = [name for node in graph.node if node.op_type == TRUNK_END for name in node.input]
    names: dict[str, None] = {}
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in names:
            names[node.name] = None
            waiting += node.input
    return list(names)


def compare(fp32: Runner, int8: Runner, data: Prepared, thresholds: NDArray[np.float32]) -> Comparison:
    """Both graphs on the same recordings. thresholds: (5,), in the order of `Superclass`."""
    by_fp32, by_int8 = _probabilities(fp32, data), _probabilities(int8, data)
    differences = np.abs(by_fp32 - by_int8)
    return Comparison(
        recordings=len(data),
        fp32_macro_auc=macro_auc(data.labels, by_fp32),
        int8_macro_auc=macro_auc(data.labels, by_int8),
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        decisions_changed=int(np.count_nonzero((by_fp32 >= thresholds) != (by_int8 >= thresholds))),
    )


def _probabilities(run: Runner, data: Prepared) -> Probabilities:
    """(recordings, 5)."""
    starts = range(0, len(data), BATCH)
    return np.concatenate([run(np.array(data.signals[s : s + BATCH]), data.features[s : s + BATCH]) for s in starts])


def _thresholds(card: dict[str, Any]) -> NDArray[np.float32]:
    return np.array([card["thresholds"][c] for c in Superclass], np.float32)


def _withdraw(folder: Path, card: dict[str, Any]) -> None:
    (folder / INT8_FILE).unlink(missing_ok=True)
    card["files"].pop(INT8_FILE, None)
    card.pop("int8", None)
