import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.errors import InvalidContent, UnsupportedMediaType
from inference.formats import SUFFIXES, read


@pytest.mark.parametrize("suffix", [".hea", ".dat", ".HEA"])
def test_the_suffix_chooses_the_reader(examples: Path, suffix: str) -> None:
    assert read(examples / f"00010_hr{suffix}").sampling_rate == 500


@pytest.mark.parametrize("name", ["ecg.pdf", "ecg", "ecg.hea.gz"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        read(Path(name))
    assert all(suffix in caught.value.message for suffix in SUFFIXES)


def test_an_option_that_a_format_does_not_take_is_refused(examples: Path) -> None:
    with pytest.raises(InvalidContent, match="unit"):
        read(examples / "00010_hr.hea", unit="mV")


def test_an_option_that_is_none_counts_as_not_given(examples: Path) -> None:
    assert read(examples / "00010_hr.hea", unit=None, sampling_rate=None).duration == 10


def test_libraries_that_read_files_are_imported_on_first_use_only() -> None:
    script = (
        "import json, sys\n"
        "import inference.formats, interop.bootstrap, interop.cli\n"
        "print(json.dumps(sorted({'ecgdatakit', 'pydicom', 'wfdb', 'pandas'} & sys.modules.keys())))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(result.stdout) == []
