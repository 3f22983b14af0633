import os
from pathlib import Path

import pytest

from service.machine import cores, memory_bytes


@pytest.mark.parametrize(
    ("limit", "expected"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None), ("", None)]
)
def test_a_container_is_given_the_cores_of_its_limit(tmp_path: Path, limit: str, expected: int | None) -> None:
    """Half a core is one slot; no limit means what the scheduler lets us have."""
    (tmp_path / "cpu.max").write_text(f"{limit}\n")

    assert cores(tmp_path) == (expected or len(os.sched_getaffinity(0)))


def test_a_container_is_given_the_memory_of_its_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1073741824\n")

    assert memory_bytes(tmp_path) == 2**30


def test_without_control_groups_the_machine_is_ours(tmp_path: Path) -> None:
    assert cores(tmp_path / "none") == len(os.sched_getaffinity(0))
    assert memory_bytes(tmp_path / "none") > 2**30
