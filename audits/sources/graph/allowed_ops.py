"""The ops that a model may hold, as lists that are frozen with the package; see `scripts/write_allowed_ops.py`."""

from functools import cache
from pathlib import Path

ALLOWED = Path(__file__).with_name("ops_allowed.txt")
KNOWN = Path(__file__).with_name("ops_refused.txt")


@cache
def allowed() -> frozenset[str]:
    return frozenset(ALLOWED.read_text().split())


@cache
def refused() -> frozenset[str]:
    """Ops of TensorFlow that are not allowed; what stands in neither list, TensorFlow may not have at all."""
    return frozenset(KNOWN.read_text().split())
