"""ModelInput -> Prediction, by onnxruntime (the default) or torch."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.artifact import INT8_FILE, ONNX_FILE, TORCH_FILE, Artifact, load_artifact
from inference.errors import ConfigurationError, ModelUnavailable
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.memory import give_back_freed_memory
from inference.precision import Choice, Precision, faster
from inference.prediction import ModelInfo, Prediction
from inference.prepare import MODEL_SAMPLES, ModelInput
from inference.recording import LEADS

log = logging.getLogger(__name__)

Backend = Literal["auto", "onnx", "torch"]

# signal (batch, 12, 5000) and features (batch, n) -> probabilities (batch, 5); raises ModelUnavailable when it fails
Runner = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

GRAPHS = {Precision.FP32: ONNX_FILE, Precision.INT8: INT8_FILE}

# The model is too small to gain from more. In int8 a second thread gained nothing either (2.3 and 2.4 ms; fp32 4.8 and
# 7.4), and the core is free for packing what is to be stored.
INTRA_OP_THREADS = {Precision.FP32: 2, Precision.INT8: 1}
WARM_UP_RUNS = 3  # the first runs are the slow ones; no request should be among them

# Present wherever the NVIDIA driver offers a device (natively or in a container, and under WSL). Asking torch would
# take about 2 s and 200 MB in every service without a GPU.
GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


class Classifier:
    """A loaded model; `actions.ports.Classify`. Not to be called from two threads at once: one inference lane.

    model: what made the predictions. thresholds: of the card. card: the whole of it, for those who report on the model.
    """

    def __init__(
        self,
        run: Runner,
        model: ModelInfo,
        thresholds: Mapping[Superclass, float],
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.card = card
        self.thresholds = thresholds
        self._run = run

    def __call__(self, windows: Sequence[ModelInput]) -> Prediction:
        """Classify one recording: its windows go through the model together, their probabilities are averaged.

        Raises ModelUnavailable when inference fails.
        """
        return self.batch([windows])[0]

    def batch(self, recordings: Sequence[Sequence[ModelInput]]) -> tuple[Prediction, ...]:
        """Classify several recordings in one run, in their order. Raises ModelUnavailable when inference fails,
        ValueError for a recording without windows."""
        if not recordings:
            return ()
        if not all(recordings):
            raise ValueError("a recording without windows cannot be classified")
        windows = [window for recording in recordings for window in recording]
        found = self._probabilities(windows)
        ends = accumulate((len(r) for r in recordings), initial=0)
        return tuple(self._prediction(found[start:end]) for start, end in pairwise(ends))

    def _probabilities(self, windows: Sequence[ModelInput]) -> NDArray[np.float32]:
        signal = np.stack([w.signal for w in windows])
        features = np.stack([w.features for w in windows])
        found = self._run(signal, features)
        if found.shape != (len(windows), len(Superclass)) or not np.isfinite(found).all():
            raise ModelUnavailable(f"the model gave no usable probabilities for {len(windows)} windows")
        return found

    def _prediction(self, found: NDArray[np.float32]) -> Prediction:
        mean = found.mean(axis=0, dtype=np.float64)
        probabilities = {c: float(p) for c, p in zip(Superclass, mean, strict=True)}
        return Prediction(probabilities, self.thresholds, self.model)


def load_classifier(
    folder: Path, backend: Backend = "auto", precision: Precision = Precision.AUTO, threads: int | None = None
) -> Classifier:
    """Load, verify and warm up a released model. `auto`: torch where it is installed and finds a CUDA GPU, else
    onnxruntime; `torch`: on the GPU if there is one, else on the CPU. The precision chooses among the graphs for
    onnxruntime; torch calculates in fp32. threads: of one run in onnxruntime; None for as many as are worth it.

    Raises ModelInvalid when the model does not match its card or was released without that precision,
    ModelUnavailable when it cannot run here, ConfigurationError for int8 by torch.
    """
    artifact = load_artifact(folder)
    if _by_torch(backend, precision):
        run, file, choice = _torch_runner(artifact), TORCH_FILE, Choice(Precision.FP32)
    else:
        run, file, choice = _chosen_graph(artifact, precision, threads)
    give_back_freed_memory()
    model = artifact.info(file)
    log.info(
        "model loaded",
        extra={
            "model": f"{model.name} {model.version}",
            "file": file,
            "sha256": model.sha256,
            "precision": choice.precision.value,
            "fp32_ms": choice.fp32_ms,
            "int8_ms": choice.int8_ms,
        },
    )
    classifier = Classifier(run, model, artifact.thresholds, artifact.card)
    _warm_up(partial(classifier, [ModelInput(*(array[0] for array in _silence()))]))
    return classifier


def _by_torch(backend: Backend, precision: Precision) -> bool:
    if precision is not Precision.INT8:
        return backend == "torch" or (backend == "auto" and _torch_has_gpu())
    if backend == "torch":
        raise ConfigurationError("ECG_PRECISION=int8 is for onnxruntime; ECG_BACKEND=torch has no int8 weights")
    return False


def _chosen_graph(artifact: Artifact, precision: Precision, threads: int | None) -> tuple[Runner, str, Choice]:
    if precision is not Precision.AUTO:
        choice = Choice(precision)
    elif INT8_FILE not in artifact.graphs:
        choice = Choice(Precision.FP32)
    else:
        return _faster_graph(artifact, threads)
    file = GRAPHS[choice.precision]
    return onnx_runner(artifact.verified(file), choice.precision, threads), file, choice


def _faster_graph(artifact: Artifact, threads: int | None) -> tuple[Runner, str, Choice]:
    runners = {
        precision: onnx_runner(artifact.verified(file), precision, threads) for precision, file in GRAPHS.items()
    }
    passes = {precision: partial(run, *_silence()) for precision, run in runners.items()}
    for forward in passes.values():
        _warm_up(forward)
    choice = faster(passes[Precision.FP32], passes[Precision.INT8])
    return runners[choice.precision], GRAPHS[choice.precision], choice


def _silence() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A batch of one input without signal and features."""
    signal = np.zeros((1, len(LEADS), MODEL_SAMPLES), np.float32)
    return signal, np.full((1, len(FEATURE_NAMES)), np.nan, np.float32)


def _warm_up(forward: Callable[[], object]) -> None:
    for _ in range(WARM_UP_RUNS):
        forward()


def onnx_runner(path: Path, precision: Precision = Precision.FP32, threads: int | None = None) -> Runner:
    """A released graph of this precision in onnxruntime, on the CPU. threads: None for as many as are worth it. Raises
    ModelUnavailable when it cannot be loaded."""
    import onnxruntime  # on first use: not every command needs it

    failures, options = _onnx_failures(), _onnx_options(threads or INTRA_OP_THREADS[precision])
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise ModelUnavailable(f"{path}: {error}") from error

    def run(signal: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            (found,) = session.run(["probabilities"], {"signal": signal, "features": features})
        except failures as error:
            raise ModelUnavailable(f"inference failed: {error}") from error
        return np.asarray(found, np.float32)

    return run


def _onnx_options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads would take the cores from the event loop and the writer between two requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _onnx_failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its own exceptions, which share no base class, and ValueError for its arguments."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    raised = (value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception))
    return (*raised, RuntimeError, ValueError)


def _torch_runner(artifact: Artifact) -> Runner:
    if find_spec("torch") is None:
        raise ModelUnavailable("the torch back end needs torch: pip install 'ecg-clinical-action-recommender[train]'")
    from inference.network import torch_runner

    path = artifact.verified(TORCH_FILE)
    try:
        run_torch = torch_runner(path)
    except RuntimeError as error:
        raise ModelUnavailable(f"{path}: {error}") from error

    def run(signal: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return run_torch(signal, features)
        except RuntimeError as error:  # torch's out-of-memory and device errors are kinds of it
            raise ModelUnavailable(f"inference failed: {error}") from error

    return run


def _torch_has_gpu() -> bool:
    if find_spec("torch") is None or not any(device.exists() for device in GPU_DEVICES):
        return False
    from inference.network import best_device

    return best_device().type == "cuda"
