from io import StringIO

from rich.console import Console

from training.epochs import Epoch
from training.progress import TerminalProgress


def test_a_run_can_be_followed_on_the_terminal() -> None:
    screen = StringIO()
    with TerminalProgress(Console(file=screen, width=100, force_terminal=True), epochs=4) as progress:
        progress.on_prepared(3, 12)
        progress.on_stage("fold 2 of 5")
        progress.on_batch(1, 5, 0.25)
        progress.on_epoch(Epoch(1, 0.2, 0.9123, True))
    shown = screen.getvalue()
    assert "3/12" in shown
    assert "epoch 2: loss 0.2000, validation macro-AUC 0.9123 (best so far)" in shown
    assert "2/4" in shown
    assert "fold 2 of 5 epoch 2, loss 0.250" in shown
