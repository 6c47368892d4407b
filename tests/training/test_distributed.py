"""Two real processes, started as torchrun starts them, on a few real recordings."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.training.conftest import TINY
from training.config import TrainingConfig
from training.distributed import Ranks
from training.train import train

PAIR = replace(TINY, epochs=1, folds=0, batch_size=4)

# Each process trains, then says how good its network has become.
WORKER = """
import sys
from pathlib import Path
import torch
from training import train
from training.config import TrainingConfig

torch.set_num_threads(1)
run, data, cache = (Path(argument) for argument in sys.argv[1:4])
result = train.train(TrainingConfig.load(Path(sys.argv[4])), data, run, cache=cache)
print("macro-AUC", result.macro_auc)
"""


def _together(config: TrainingConfig, data: Path, run: Path, cache: Path, world: int = 2) -> list[str]:
    recipe = run.parent / "recipe.json"
    recipe.write_text(config.to_json())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    arguments = [sys.executable, "-c", WORKER, str(run), str(data), str(cache), str(recipe)]
    processes = [
        subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * world, outputs
    return [output for output, _ in outputs]


@pytest.fixture(scope="module")
def pair(small_ptbxl: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of a run of two processes, and what each said."""
    run = tmp_path_factory.mktemp("pair") / "run"
    return run, _together(PAIR, small_ptbxl, run, cache)


def test_two_processes_train_one_network_and_one_of_them_writes(pair: tuple[Path, list[str]]) -> None:
    run, said = pair
    assert "macro-AUC" in said[0]
    assert said[0] == said[1], "both hold the same network in the end"
    assert [json.loads(line)["epoch"] for line in (run / "log.jsonl").read_text().splitlines()] == [0]
    assert (run / "model.pt").is_file()


def test_two_processes_take_nearly_the_steps_of_one_alone(
    pair: tuple[Path, list[str]], small_ptbxl: Path, cache: Path, tmp_path: Path
) -> None:
    train(PAIR, small_ptbxl, tmp_path, cache=cache)
    together, alone = (torch.load(run / "model.pt", weights_only=True) for run in (pair[0], tmp_path))
    assert together.keys() == alone.keys()
    name = "signal.head.1.weight"
    assert not torch.equal(together[name], alone[name]), "the halves of a batch are augmented otherwise"
    torch.testing.assert_close(together[name], alone[name], atol=0.02, rtol=0)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_shares_of_a_batch_are_the_batch(world: int) -> None:
    rows = np.arange(10)
    shares = [Ranks(rank, world).share(rows) for rank in range(world)]
    assert sorted(np.concatenate(shares).tolist()) == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_every_process_gets_a_recording_of_a_batch_that_is_too_small() -> None:
    assert [len(Ranks(rank, 4).share(np.arange(2))) for rank in range(4)] == [1, 1, 1, 1]


def test_one_process_alone_waits_for_nobody() -> None:
    ranks = Ranks()
    ranks.wait()
    assert ranks.first
    assert ranks.told("news") == "news"
