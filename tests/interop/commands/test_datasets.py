"""`dataset list`, `dataset download` and `dataset check`."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.interop.commands.conftest import Command
from tests.training.datasets.file_server import Behaviour, serve


def test_the_kinds_are_listed_with_their_official_addresses(command: Command) -> None:
    listed = json.loads(command("dataset", "list", "--json").out)
    assert [row["kind"] for row in listed] == ["ptbxl", "code15", "chapman", "cohort"]
    assert listed[0]["address"] == "https://physionet.org/files/ptb-xl/1.0.3/"
    assert b"https://zenodo.org/api/records/4916206" in command("dataset", "list").out


def test_a_download_that_was_cut_off_goes_on_by_the_same_command(command: Command, tmp_path: Path) -> None:
    remote, here = tmp_path / "remote", tmp_path / "here"
    remote.mkdir()
    (remote / "RECORDS").write_bytes(b"x" * 100_000)
    digest = hashlib.sha256((remote / "RECORDS").read_bytes()).hexdigest()
    (remote / "SHA256SUMS.txt").write_text(f"{digest} RECORDS\n")
    here.mkdir()
    (here / "RECORDS.part").write_bytes(b"x" * 40_000)
    with serve(remote, Behaviour()) as server:
        done = command("dataset", "download", "ptbxl", "--to", here, "--mirror", server.address)
    assert done.exit_code == 0, done.err
    assert b"1 files fetched, 0 were there" in done.out
    assert server.asked[-1] == ("RECORDS", "bytes=40000-")
    assert (here / "RECORDS").read_bytes() == (remote / "RECORDS").read_bytes()


def test_a_download_that_fails_is_one_line_with_the_address(command: Command, tmp_path: Path) -> None:
    with serve(tmp_path, Behaviour()) as server:
        failed = command("dataset", "download", "chapman", "--to", tmp_path / "here", "--mirror", server.address)
    assert failed.exit_code == 1
    assert server.address in failed.err
    assert "Traceback" not in failed.err


@pytest.mark.parametrize("arguments", [("download", "mimic", "--to", "here"), ("check", "mimic", ".")])
def test_a_name_that_is_not_known_is_wrong_usage(
    command: Command, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = command("dataset", *arguments)
    assert refused.exit_code == 2
    assert "mimic" in refused.err


def test_a_check_counts_what_is_known_and_shows_no_test_labels(command: Command, shared_data: Path) -> None:
    shown = json.loads(command("dataset", "check", "ptbxl", shared_data / "ptbxl", "--json").out)
    assert set(shown["splits"]) == {"train", "val"}
    assert shown["splits"]["train"]["recordings"] == 1490
    assert shown["splits"]["train"]["classes"]["MI"] == {"known": 1490, "positive": 266}
    chapman = json.loads(command("dataset", "check", "chapman", shared_data / "chapman", "--json").out)
    assert chapman["splits"]["train"]["classes"]["HYP"] == {"known": 12, "positive": 1}


def test_a_check_says_what_is_left_out_and_why(command: Command, tmp_path: Path) -> None:
    rows = ["ecg_id,filename,NORM,MI,STTC,CD,HYP", "1,gone,1,0,0,0,0"]
    (tmp_path / "superclass_labels.csv").write_text("\n".join(rows))
    shown = command("dataset", "check", "cohort", tmp_path)
    assert shown.exit_code == 0
    assert b"left out: 1" in shown.out
    assert b"1 because gone.hea is absent" in shown.out
    assert json.loads(command("dataset", "check", "cohort", tmp_path, "--json").out)["left_out"] == 1


def test_a_folder_of_another_kind_is_wrong_usage(command: Command, tmp_path: Path) -> None:
    refused = command("dataset", "check", "chapman", tmp_path)
    assert refused.exit_code == 2
    assert "WFDBRecords" in refused.err
