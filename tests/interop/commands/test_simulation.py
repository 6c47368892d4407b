"""`simulate`: what is said of wrong usage and of a service that is not there; real traffic is in tests/e2e."""

import socket
from pathlib import Path

import pytest

from interop.commands.simulation import ShiftName
from tests.interop.commands.conftest import Command
from training.shifts import SHIFTS


def test_the_command_knows_every_shift() -> None:
    assert [name.value for name in ShiftName] == list(SHIFTS)


@pytest.mark.parametrize("options", [(), ("--fhir", "http://127.0.0.1:1/fhir", "--mllp", "127.0.0.1:1")])
def test_one_door_has_to_be_named(options: tuple[str, ...], command: Command) -> None:
    told = command("simulate", *options)
    assert told.exit_code == 2
    assert told.err == "give either --fhir or --mllp\n"


@pytest.mark.parametrize("door", ["--fhir", "--mllp"])
def test_a_service_that_is_not_there_is_one_line(door: str, command: Command) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        told = command("simulate", door, f"http://{address}/fhir" if door == "--fhir" else address, "--ecgs", 1)
    assert told.exit_code == 1
    assert len(told.err.strip().splitlines()) == 1
    assert "Traceback" not in told.err


def test_a_folder_without_recordings_is_the_callers_to_change(command: Command, tmp_path: Path) -> None:
    told = command("simulate", "--mllp", "127.0.0.1:1", "--data", tmp_path)
    assert told.exit_code == 2
    assert str(tmp_path) in told.err


def test_a_shift_that_fits_no_recording_is_named(command: Command) -> None:
    told = command("simulate", "--mllp", "127.0.0.1:1", "--shift", "older")  # nothing is known of the examples' age
    assert (told.exit_code, told.err.strip()) == (2, "none of the recordings can have this shift")
