"""The engine without the service: what is calculated of one recording, then every released graph in onnxruntime by
itself, and the same weights in eager torch."""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.artifact import TORCH_FILE, find_model
from inference.beats import find_beats
from inference.classifier import load_classifier
from inference.features import extract
from inference.measurements import measure as measurements_of
from inference.prepare import prepare
from inference.quality import assess
from inference.recording import Recording
from tests.bench import messages
from tests.bench.figures import Budget, Row, Table, times
from tests.bench.parsing import timed
from tests.bench.sizes import Sizes

THREADS = (1, 2)
ENGINE_TIMES = 5  # repeats of a stage for one of a graph: they are short

Arrays = tuple[NDArray[np.float32], NDArray[np.float32]]


def measure(sizes: Sizes) -> tuple[Table, ...]:
    """The tables."""
    return _engine(sizes), _graphs(sizes)


def _engine(sizes: Sizes) -> Table:
    """Each stage on real recordings in turn, in one thread, as the service's lane runs them; by the graph that it would
    choose."""
    recordings = cycle(messages.recordings())
    classify = load_classifier(find_model(None))

    def whole() -> None:
        recording = next(recordings)
        classify(prepare(recording, _features(recording)))

    rows = (
        _stage("quality gate", lambda: assess(next(recordings)), sizes),
        _stage("features: beats, measurements, features", lambda: _features(next(recordings)), sizes, 3.0),
        _stage("features, model input and forward pass", whole, sizes, 8.0),
    )
    return Table("Engine, one recording of 12 x 5000", rows)


def _features(recording: Recording) -> NDArray[np.float32]:
    beats = find_beats(recording)
    return extract(beats, measurements_of(beats), recording.age, recording.sex)


def _stage(what: str, work: Callable[[], Any], sizes: Sizes, limit: float | None = None) -> Row:
    budgets = () if limit is None else (Budget("p99", limit),)
    return replace(times(what, timed(work, ENGINE_TIMES * sizes.repeats)), budgets=budgets)


def _graphs(sizes: Sizes) -> Table:
    """One row for each graph and number of threads; input: one real ECG, (1, 12, 5000)."""
    folder = find_model(None)
    signal, features = _inputs()
    rows = [
        _graph(path, n, (signal, features), sizes.repeats) for path in sorted(folder.glob("*.onnx")) for n in THREADS
    ]
    if (folder / TORCH_FILE).is_file():
        rows += [_torch(folder / TORCH_FILE, n, (signal, features), sizes.repeats) for n in THREADS]
    return Table(f"Forward pass of {folder.parent.name} {folder.name}", tuple(rows))


def _inputs() -> Arrays:
    recording = messages.recordings()[0]
    found = prepare(recording, _features(recording))
    return found[0].signal[None], found[0].features[None]


def _graph(path: Path, threads: int, inputs: Arrays, repeats: int) -> Row:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as the service has it
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = dict(zip(("signal", "features"), inputs, strict=True))
    return _row(f"onnxruntime, {path.name}", threads, lambda: session.run(None, feed), repeats)


def _torch(weights: Path, threads: int, inputs: Arrays, repeats: int) -> Row:
    import torch

    from inference.network import Probabilities, load_network

    torch.set_num_threads(threads)
    model = Probabilities(load_network(weights)).eval()
    tensors = [torch.from_numpy(array) for array in inputs]

    def run() -> None:
        with torch.inference_mode():
            model(*tensors)

    return _row("torch eager on the CPU, the same weights", threads, run, repeats)


def _row(what: str, threads: int, run: Callable[[], Any], repeats: int) -> Row:
    return times(f"{what}, {threads} thread{'s' * (threads > 1)}", timed(run, repeats))
