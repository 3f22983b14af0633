"""The progress of an audit on standard error: a bar on a terminal, a line a stage elsewhere."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from schemas.job import Progress


class ProgressDisplay:
    """Shows each `Progress` that it is told; leaves nothing behind on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage: str | None = None
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        words = f"{progress.stage}: {progress.detail}" if progress.detail else progress.stage
        self._bar.update(self._task, completed=progress.fraction, description=words)
        if not self._console.is_terminal and progress.stage != self._stage:
            self._console.print(Text(f"{progress.fraction:4.0%} {progress.stage}"))
        self._stage = progress.stage
