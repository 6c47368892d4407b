"""Progress of a run on the terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.epochs import Epoch


class TerminalProgress:
    """The callbacks of `training.train.train`, shown as bars; a context manager.

    epochs: how many there will be at most. Finished epochs are printed as lines above the bars.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console)
        self._prepared = self._progress.add_task("prepare", total=None)
        self._epochs = self._progress.add_task("epochs", total=epochs)
        self._stage = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_prepared(self, done: int, total: int) -> None:
        """Recordings prepared, of all."""
        self._progress.update(self._prepared, completed=done, total=total)

    def on_stage(self, stage: str) -> None:
        """A stage of `training.train` begins."""
        self._stage = stage
        self._progress.update(self._epochs, completed=0, description=stage)

    def on_batch(self, epoch: int, done: int, loss: float) -> None:
        """Batches done in an epoch, and the mean loss so far."""
        description = f"{self._stage} epoch {epoch + 1}, loss {loss:.3f}".lstrip()
        self._progress.update(self._epochs, completed=epoch, description=description)

    def on_epoch(self, epoch: Epoch) -> None:
        """A finished epoch."""
        self._progress.update(self._epochs, completed=epoch.number + 1)
        mark = " (best so far)" if epoch.best else ""
        self._progress.console.print(
            f"epoch {epoch.number + 1}: loss {epoch.loss:.4f}, validation macro-AUC {epoch.macro_auc:.4f}{mark}",
            highlight=False,
        )
