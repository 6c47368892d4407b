import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.lock import hold_lock
from inference.errors import ConfigurationError

HOLDER = """
import sys, time
from pathlib import Path
from audit.lock import hold_lock
with hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with hold_lock(tmp_path / "ecg.sqlite") as file:
        assert file == tmp_path / "ecg.sqlite.lock"
        with (
            pytest.raises(ConfigurationError, match=rf"ecg\.sqlite is in use by process {os.getpid()}$"),
            hold_lock(tmp_path / "ecg.sqlite"),
        ):
            pytest.fail("it was not held")
    with hold_lock(tmp_path / "ecg.sqlite"):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "ecg.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError, match=str(holder.pid)), hold_lock(tmp_path / "ecg.sqlite"):
            pytest.fail("it was not held")
        holder.kill()
    with hold_lock(tmp_path / "ecg.sqlite") as file:
        assert file.read_text() == f"{os.getpid()}\n"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent"), hold_lock(tmp_path / "absent" / "ecg.sqlite"):
        pytest.fail("it was held")
