"""A case with a wide gap."""

import pytest

from audits.evidence.case import Case
from tests.factories import case, memoriser


@pytest.fixture(scope="module")
def wide_gap() -> Case:
    """1.0 in training and about 0.5 in validation."""
    return case(model=memoriser, signal=0.0, columns=3)
