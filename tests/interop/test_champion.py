import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.classifier import Classifier, load_classifier
from inference.errors import StorageUnavailable
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.pointer import activate, roll_back
from inference.prediction import ModelInfo
from inference.prepare import MODEL_SAMPLES, ModelInput
from inference.recording import LEADS
from interop.champion import RETRY_SECONDS, Champion, Watch, pointed_release
from interop.metrics import Metrics
from tests.fakes import NOW
from tests.releases import change_card, point, release

WINDOW = ModelInput(np.zeros((len(LEADS), MODEL_SAMPLES), np.float32), np.zeros(len(FEATURE_NAMES), np.float32))


@dataclass
class World:
    """A champion that follows a pointer, with what happened to it."""

    models: Path
    champion: Champion
    metrics: Metrics = field(default_factory=Metrics)
    confirmed: list[tuple[str, str]] = field(default_factory=list)
    loaded: list[Path] = field(default_factory=list)
    failure: Exception | None = None
    may_load: threading.Event | None = None
    now: float = 0.0
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        pointer = self.models / "champion.json"
        self.watch = Watch(
            pointer, self.champion, self.load, self.confirm, self.metrics, pointed_release(pointer), lambda: self.now
        )

    def load(self, folder: Path) -> Classifier:
        self.loaded.append(folder)
        if self.may_load is not None:
            assert self.may_load.wait(10), "the event loop stands still"
        return load_classifier(folder)

    async def confirm(self, before: ModelInfo, after: ModelInfo) -> None:
        if self.failure:
            raise self.failure
        assert self.champion.model == before, "the change is on record before it happens"
        self.confirmed.append((before.version, after.version))

    def look(self) -> None:
        asyncio.run(self.watch.look())

    def activate(self, version: str) -> None:
        activate(self.models, "fixed", version, by="Ada", reason="", at=NOW)

    def count(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("ecg_model_changes_total", {"outcome": outcome}) or 0.0

    @property
    def version(self) -> str:
        return self.champion.model.version


@pytest.fixture
def world(tmp_path: Path) -> World:
    release(tmp_path, "1.0.0", mi=0.9)
    release(tmp_path, "1.1.0", mi=0.8)
    point(tmp_path, "fixed/1.0.0")
    return World(tmp_path, Champion(load_classifier(tmp_path / "fixed/1.0.0")))


def test_an_activated_model_is_taken_up_once_on_record_and_shown(world: World) -> None:
    world.activate("1.1.0")
    for _ in range(3):
        world.look()
    assert world.version == "1.1.0"
    assert world.champion([WINDOW]).probabilities[Superclass.MI] == pytest.approx(0.8)
    assert world.confirmed == [("1.0.0", "1.1.0")]
    assert len(world.loaded) == world.count("taken-up") == 1
    shown = {"name": "fixed", "version": "1.1.0", "status": "champion", "sha256": world.champion.model.sha256}
    assert world.metrics.registry.get_sample_value("ecg_model_info", shown) == 1


def test_nothing_is_loaded_while_the_pointer_stays(world: World) -> None:
    world.look()
    world.activate("1.0.0")
    world.look()
    assert (world.loaded, world.version) == ([], "1.0.0")


def test_a_rollback_is_taken_up_like_an_activation(world: World) -> None:
    world.activate("1.1.0")
    world.look()
    roll_back(world.models, by="Ada", reason="", at=NOW)
    world.look()
    assert world.version == "1.0.0"


def test_a_model_that_is_promoted_while_it_serves_is_taken_up_with_its_new_card(world: World) -> None:
    change_card(world.models / "fixed/1.0.0", waiver={
        "waives": ["fairness"], "by": "Ada", "reason": "pilot", "date": "2026-01-01T00:00:00+00:00",
        "says": "fairness not assessed",
    })  # fmt: skip
    world.look()
    assert world.champion.model.waived == "fairness not assessed"


def _corrupt(models: Path) -> None:
    (models / "fixed/1.1.0/model.onnx").write_bytes(b"another")


def _for_other_features(models: Path) -> None:
    change_card(models / "fixed/1.1.0", features={"version": "0", "names": []})


def _without_folder(models: Path) -> None:
    (models / "fixed/1.1.0").rename(models / "gone")


@pytest.mark.parametrize("spoil", [_corrupt, _for_other_features, _without_folder])
def test_a_model_that_cannot_be_loaded_leaves_the_old_one_and_is_told_once(
    world: World, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(world.models)
    point(world.models, "fixed/1.1.0")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            world.look()
    assert (world.version, world.confirmed) == ("1.0.0", [])
    assert world.count("failed") == len(caplog.records) == 1


def test_a_model_that_failed_is_tried_again_later_and_at_once_when_its_card_changes(world: World) -> None:
    whole = (world.models / "fixed/1.1.0/model.onnx").read_bytes()
    _corrupt(world.models)
    world.activate("1.1.0")
    world.look()
    (world.models / "fixed/1.1.0/model.onnx").write_bytes(whole)
    world.look()
    assert world.version == "1.0.0"
    world.now += RETRY_SECONDS
    world.look()
    assert world.version == "1.1.0"


def test_a_broken_pointer_changes_nothing(world: World) -> None:
    (world.models / "champion.json").write_text("{")
    world.look()
    assert (world.version, world.count("failed")) == ("1.0.0", 1)


def test_a_change_that_cannot_be_recorded_does_not_happen_until_it_can(world: World) -> None:
    world.activate("1.1.0")
    world.failure = StorageUnavailable("gone")
    with pytest.raises(StorageUnavailable):
        world.look()
    assert (world.version, world.count("taken-up")) == ("1.0.0", 0)
    world.failure = None
    world.look()
    assert world.version == "1.1.0"


def test_a_batch_is_classified_by_one_model_even_if_another_comes_meanwhile(world: World) -> None:
    other = load_classifier(world.models / "fixed/1.1.0")

    def exchange_while_it_runs(signal: Any, features: Any) -> Any:
        world.champion.exchange(other)
        return np.full((len(signal), 5), 0.5, np.float32)

    first = world.champion.model
    thresholds = dict.fromkeys(Superclass, 0.3)
    world.champion.exchange(Classifier(exchange_while_it_runs, first, thresholds))
    assert {prediction.model for prediction in world.champion.batch([[WINDOW], [WINDOW]])} == {first}
    assert world.champion([WINDOW]).model == other.model


def test_the_loading_does_not_hold_the_event_loop(world: World) -> None:
    async def look() -> None:
        world.may_load = threading.Event()
        looking = asyncio.create_task(world.watch.look())
        while not world.loaded:
            await asyncio.sleep(0.001)
        world.may_load.set()  # the loop runs while the loading waits for this
        await looking

    world.activate("1.1.0")
    asyncio.run(look())
    assert world.version == "1.1.0"
