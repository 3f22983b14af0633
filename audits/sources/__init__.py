"""Any model and data location: found below the data roots, read without TensorFlow, streamed as typed batches."""

from audits.sources.history import read_history
from audits.sources.locations import Roots
from audits.sources.opening import open_splits
from audits.sources.saved_model import describe_model

__all__ = ["Roots", "describe_model", "open_splits", "read_history"]
