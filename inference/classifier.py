"""ModelInput -> Prediction, by onnxruntime (the default) or torch."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.artifact import ONNX_FILE, TORCH_FILE, Artifact, load_artifact
from inference.errors import ModelUnavailable
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.prediction import ModelInfo, Prediction
from inference.prepare import MODEL_SAMPLES, ModelInput
from inference.recording import LEADS

Backend = Literal["auto", "onnx", "torch"]

# signal (batch, 12, 5000) and features (batch, n) -> probabilities (batch, 5); raises ModelUnavailable when it fails
Runner = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]

INTRA_OP_THREADS = 2  # the model is too small to gain from more, and the service has other work for the cores
WARM_UP_RUNS = 3  # the first runs are the slow ones; no request should be among them

# Present wherever the NVIDIA driver offers a device (natively or in a container, and under WSL). Asking torch would
# take about 2 s and 200 MB in every service without a GPU.
GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


class Classifier:
    """A loaded model; `actions.ports.Classify`. Not to be called from two threads at once: one inference lane.

    model: what made the predictions. thresholds: of the card.
    """

    def __init__(self, run: Runner, model: ModelInfo, thresholds: Mapping[Superclass, float]) -> None:
        self.model = model
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


def load_classifier(folder: Path, backend: Backend = "auto") -> Classifier:
    """Load, verify and warm up a released model. `auto`: torch where it is installed and finds a CUDA GPU, else
    onnxruntime; `torch`: on the GPU if there is one, else on the CPU.

    Raises ModelInvalid when the model does not match its card, ModelUnavailable when it cannot run here.
    """
    artifact = load_artifact(folder)
    if backend == "torch" or (backend == "auto" and _torch_has_gpu()):
        run, file = _torch_runner(artifact), TORCH_FILE
    else:
        run, file = onnx_runner(artifact.verified(ONNX_FILE)), ONNX_FILE
    classifier = Classifier(run, artifact.info(file), artifact.thresholds)
    _warm_up(classifier)
    return classifier


def _warm_up(classifier: Classifier) -> None:
    silent = np.zeros((len(LEADS), MODEL_SAMPLES), np.float32)
    unknown = np.full(len(FEATURE_NAMES), np.nan, np.float32)
    for _ in range(WARM_UP_RUNS):
        classifier([ModelInput(silent, unknown)])


def onnx_runner(path: Path) -> Runner:
    """A released graph in onnxruntime, on the CPU. Raises ModelUnavailable when it cannot be loaded."""
    import onnxruntime  # on first use: not every command needs it

    failures = _onnx_failures()
    try:
        session = onnxruntime.InferenceSession(path, _onnx_options(), providers=["CPUExecutionProvider"])
    except failures as error:
        raise ModelUnavailable(f"{path}: {error}") from error

    def run(signal: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            (found,) = session.run(["probabilities"], {"signal": signal, "features": features})
        except failures as error:
            raise ModelUnavailable(f"inference failed: {error}") from error
        return np.asarray(found, np.float32)

    return run


def _onnx_options() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = INTRA_OP_THREADS
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
