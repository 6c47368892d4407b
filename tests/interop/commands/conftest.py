"""The console command in this process, as a shell would see it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from interop.cli import main


@dataclass(frozen=True, slots=True)
class Outcome:
    """exit_code, and what went to standard output and standard error."""

    exit_code: int
    out: bytes
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    """Run `ecg-interop` with these arguments."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ecg-interop", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        return Outcome(int(caught.value.code or 0), captured.out, captured.err.decode())

    return run
