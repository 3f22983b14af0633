"""The progress of an audit, and of what is sent for it, on standard error: a bar on a terminal, lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
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


class UploadDisplay:
    """Shows what is sent; leaves nothing behind on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def sending(self, name: str, size: int) -> Iterator[Callable[[int], None]]:
        """While a file is sent; tell the function how many bytes more have gone."""
        if not self._console.is_terminal:
            self._console.print(Text(f"sending {name}, {size:,} bytes"))
            yield lambda _: None
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
        with Bar(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=self._console, transient=True) as bar:
            yield partial(bar.advance, bar.add_task(f"sending {name}", total=size))

    def skipped(self, name: str) -> None:
        self._console.print(Text(f"{name} is there already"), style="dim")
