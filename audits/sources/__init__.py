"""Any model and data location: found below the data roots, read without TensorFlow, streamed as typed batches."""

from audits.sources.graph.saved_model import describe_model
from audits.sources.histories.reading import read_history
from audits.sources.locations import Roots
from audits.sources.model.opening import look_at_model, open_model
from audits.sources.opening import by_name, open_splits

__all__ = ["Roots", "by_name", "describe_model", "look_at_model", "open_model", "open_splits", "read_history"]
