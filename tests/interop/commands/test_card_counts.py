"""`evaluate --cards`, with the released model on a few real recordings."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.interop.commands.conftest import Command
from tests.training.conftest import SIZES, write_small

MODEL = ROOT / "models"


@pytest.fixture
def small(shared_data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "ptbxl"
    folder.mkdir()
    return write_small(shared_data / "ptbxl", folder)


def test_tables_for_a_reader_and_json_for_a_program_say_the_same_and_the_card_stays(
    command: Command, small: Path
) -> None:
    cards = {path: path.read_bytes() for path in MODEL.rglob("*") if path.suffix in (".json", ".md", ".jsonl")}
    words = ("evaluate", "--data", small, "--model", MODEL, "--cards")
    told, machine = command(*words), command(*words, "--json")
    assert (told.exit_code, machine.exit_code) == (0, 0), told.err + machine.err
    document = json.loads(machine.out)
    assert document["recordings"] == document["sampling_rates"]["100"] == SIZES["val"]
    lines = told.out.decode().splitlines()
    assert lines[0].split()[:2] == ["highest", "urgency"]
    counted = {line.split()[0]: line.split()[1] for line in lines[1:6]}
    by_urgency = {one["urgency"]: str(one["cards"]["count"]) for one in document["by_urgency"]}
    assert counted == by_urgency | {"unreadable": str(document["unreadable"])}
    rules = {one["rule"]: [one["shown"], one["judged"], one["right"]] for one in document["by_rule"]}
    assert "mi-immediate" in rules
    assert f"mi-immediate {' '.join(map(str, rules['mi-immediate']))}" in [" ".join(line.split()) for line in lines]
    assert cards == {path: path.read_bytes() for path in cards}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--cards", "--run", "."), "--cards"),
        (("--cards", "--external", "chapman", "."), "--cards"),
        (("--json",), "--json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_does_not_go_with_it_is_wrong_usage(command: Command, words: tuple[str, ...], says: str) -> None:
    refused = command("evaluate", "--data", ".", *words)
    assert (refused.exit_code, refused.out) == (2, b"")
    (line,) = refused.err.splitlines()
    assert says in line
