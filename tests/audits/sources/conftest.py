"""Small files, and what the readers make of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audits.artefacts import Batch, Split
from audits.sources import Roots, open_splits
from schemas.data import Data

Uris = str | list[str] | dict


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., tuple[Split, Split]]:
    """Opens files of the test's folder: opened("train.csv", "validation.csv", label="y")."""

    def open_(
        train: str | list[str] | dict,
        validation: str | list[str] | dict,
        *,
        options: dict | None = None,
        **data: object,
    ):
        named = {"train": train, "validation": validation}
        request = {name: it if isinstance(it, dict) else {"uri": it} for name, it in named.items()} | data
        return open_splits(Data.model_validate(request), Roots((tmp_path,)), **(options or {}))

    return open_


def everything(split: Split, rows: int = 8192) -> list[Batch]:
    """All batches, of which every one but the last is full and which follow each other."""
    batches = list(split.batches(rows))
    first = 0
    for batch in batches:
        assert batch.first_row == first
        assert 0 < len(batch) <= rows
        assert len(batch.features) == len(batch)
        first += len(batch)
    return batches
