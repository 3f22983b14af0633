"""Import TensorFlow without touching a device, so that forked children can run models at once."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_tensorflow() -> Any:
    """TensorFlow, imported on first use.

    A process that children are to be forked from must not use it: TensorFlow starts its devices with the first
    tensor, and a process forked after that hangs or crashes. See `can_fork`.
    """
    if not is_loaded():
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _quiet_stderr(), warnings.catch_warnings():
            # TensorFlow's and its dependencies' deprecations are not ours to mend
            warnings.simplefilter("ignore")
            import tensorflow  # noqa: F401, PLC0415 - ten seconds, and only where a model runs
    return sys.modules["tensorflow"]


def is_loaded() -> bool:
    return "tensorflow" in sys.modules


def can_fork() -> bool:
    """Whether a child forked from this process can run TensorFlow: no device was touched here."""
    if not is_loaded():
        return True
    from tensorflow.python.eager import context  # noqa: PLC0415 - as above

    current = context.context_safe()
    return current is None or not current._initialized  # noqa: SLF001 - TensorFlow offers no other way to ask


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Native code writes log lines before any log level can reach it."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path of ours
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
