"""Any saved model, run in a process of its own. The only package that imports TensorFlow, and only on first use."""

from audits.models.preload import import_tensorflow
from audits.models.process import ModelProcess, export_model, start_model

__all__ = ["ModelProcess", "export_model", "import_tensorflow", "start_model"]
