"""Runs a SavedModel. Lives in the model's process, the only one that uses TensorFlow."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from audits.artefacts import Array, FixedInput, TensorSpec
from audits.models.frames import DTYPES
from audits.models.preload import import_tensorflow
from audits.models.telling import telling
from audits.sources.graph.allowed_ops import allowed, refused
from audits.sources.graph.foreign_ops import unsupported
from audits.sources.graph.inputs import SPARSE_PARTS

Device = Literal["auto", "cpu", "gpu"]
Outputs = dict[str, Array]
USAGE = ("device_memory_bytes", "rows_a_call")

# What one call may take in: small models run fastest on thousands of rows, while the activations of large ones,
# which grow with their weights, must fit into memory.
MAX_BATCH_ROWS, MIN_BATCH_ROWS = 4096, 16
BATCH_BYTES = 8 * 2**20
BATCH_PARAMETER_ROWS = 2**29
TEXT_BYTES = 1024
# Of the variables' values that are sent, as the widest type has it.
MAX_VARIABLE_BYTES, VALUE_BYTES = 2**27, 8

# Of the variables that calls may change, which are set back before each.
MAX_STATE_BYTES = 2**27

_NO_KERNEL = re.compile(r"No OpKernel was registered to support Op '(\w+)'")


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """Something the user can act on; `code` and `detail` of a problem."""

    def __init__(self, code: str, detail: str, *, op: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.op = op


@dataclass(frozen=True)
class Job:
    """What to load and where to run it."""

    path: str
    signature: str
    tags: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    fixed: tuple[FixedInput, ...]
    ops: Mapping[str, str]
    device: Device
    parameters: int | None
    as_session: bool


class _OtherBatchSize(Exception):  # noqa: N818 - not an error, but news
    """The model takes as many rows at a time as its state has."""


class State:
    """Variables that calls change, such as the hidden state of a stateful recurrent layer.

    They are set back before each call to what the checkpoint holds: rows of one call must not change the answers
    to those of the next.

    Attributes:
        rows: as many rows a call takes, where the state says so and the signature does not.
    """

    def __init__(self) -> None:
        self._variables: list[tuple[Any, Any]] = []
        self._is_known = False
        self.rows: int | None = None

    def hold(self, variables: Sequence[Any]) -> None:
        """Remember the values of those that are not trained, the smallest first, as far as they are few."""
        left = MAX_STATE_BYTES
        for variable in sorted((one for one in variables if not one.trainable), key=lambda one: _size(one.shape)):
            left -= VALUE_BYTES * _size(variable.shape)
            if left < 0:
                return
            self._variables.append((variable, variable.read_value()))

    def set_back(self) -> None:
        """Before each call; the first one tells which variables change at all."""
        for variable, value in self._variables:
            variable.assign(value)

    def called(self) -> None:
        """After each call."""
        if not self._is_known:
            changed = [not np.array_equal(variable.numpy(), value.numpy()) for variable, value in self._variables]
            self._variables = list(itertools.compress(self._variables, changed))
            self._is_known = True

    def found_rows(self) -> bool:
        """Whether all that has rows is of one number of them; then `rows` is it."""
        first = {variable.shape[0] for variable, _ in self._variables if variable.shape.rank == 2}
        if self.rows is None and len(first) == 1:
            (self.rows,) = first
            return True
        return False


def _size(shape: Any) -> int:
    return int(shape.num_elements() or 0)


class LoadedModel:
    """A signature that is ready to be called."""

    _most_rows: int | None = None  # that fit into memory at a time, once more did not

    def __init__(self, job: Job) -> None:
        self._tf = import_tensorflow()
        self._tf.get_logger().setLevel("ERROR")  # what it thinks of old graphs is not for the operator's log
        self._job = job
        self._specs = {spec.name: spec for spec in job.inputs}
        require_registered(job.ops)
        self.device = choose_device(self._tf, job.device)
        self._state = State()
        self._call: Callable[[Mapping[str, Any]], Mapping[str, Any]] = (
            _session(self._tf, job) if job.as_session else _function(self._tf, job, self._state)
        )

    @property
    def tensorflow_version(self) -> str:
        return str(self._tf.__version__)

    def predict(self, inputs: Mapping[str, Array]) -> Outputs:
        """Outputs by name, each (rows, ...), for inputs by name, each (rows, ...)."""
        rows = len(next(iter(inputs.values())))
        size = self._fixed_rows() or min(self._batch_rows(inputs), self._most_rows or MAX_BATCH_ROWS)
        parts: list[Outputs] = []
        first = 0
        while first < rows or not parts:
            batch = {name: array[first : first + size] for name, array in inputs.items()}
            try:
                parts.append(self._run(batch))
            except _OtherBatchSize:
                size = self._state.rows or 1
                continue
            except (self._tf.errors.ResourceExhaustedError, MemoryError) as error:
                if size <= 1 or self._fixed_rows():
                    raise Refused(
                        "model_out_of_memory", "The model does not fit into memory, even with one row."
                    ) from error
                size = self._most_rows = max(1, size // 2)
                continue
            first += size
        return _joined(parts)

    def usage(self) -> dict[str, int | None]:
        """What the calls took until now.

        Returns:
            `device_memory_bytes`, the most that was held on the GPU, None on the CPU; `rows_a_call`, where more did
            not fit into memory, else None.
        """
        held = None if self.device == "cpu" else self._tf.config.experimental.get_memory_info("GPU:0")["peak"]
        return dict(zip(USAGE, (held, self._most_rows), strict=True))

    def variables(self, keys: Sequence[str]) -> Outputs:
        """Values of the checkpoint by key; those that are missing or too large are left out."""
        prefix = Path(self._job.path) / "variables" / "variables"
        if not prefix.with_suffix(".index").is_file():
            return {}
        try:
            reader = self._tf.train.load_checkpoint(str(prefix))
            shapes = reader.get_variable_to_shape_map()
            read: Outputs = {}
            left = MAX_VARIABLE_BYTES
            for key in keys:
                left -= VALUE_BYTES * int(np.prod(shapes.get(key, ()), dtype=np.int64))
                if left < 0:
                    break
                if key in shapes:
                    read[key] = _as_sent(np.asarray(reader.get_tensor(key)))
        except Exception as error:
            raise Refused("variables_unreadable", f"The checkpoint cannot be read: {telling(error)}") from error
        return {key: value for key, value in read.items() if value.dtype.name in DTYPES or value.dtype == object}

    def _run(self, batch: Mapping[str, Array]) -> Outputs:
        """One call. Models with a fixed batch size get rows repeated up to it, whose answers are dropped."""
        rows, fixed = len(next(iter(batch.values()))), self._fixed_rows()
        missing = 0 if fixed is None else fixed - rows
        fed = {one.tensor or one.name: self._tf.constant(one.value, one.dtype) for one in self._job.fixed}
        for name, array in batch.items():
            fed |= self._tensors(self._specs[name], _padded(array, missing))
        self._state.set_back()
        try:
            outputs = self._call(fed)
        except (self._tf.errors.ResourceExhaustedError, MemoryError):
            raise
        except Exception as error:
            if fixed is None and self._state.found_rows():
                raise _OtherBatchSize from error
            raise _refusal(error, "model_refused_input", "The model cannot run on these data") from error
        self._state.called()
        usable: Outputs = {}
        refused: list[Refused] = []
        for name, value in outputs.items():
            try:
                usable[name] = self._array(name, value, rows if missing else None)
            except Refused as problem:
                refused.append(problem)  # of several outputs, some may be no answers
        if not usable:
            raise refused[0]
        return usable

    def _tensors(self, spec: TensorSpec, array: Array) -> dict[str, Any]:
        """What the signature takes for one input."""
        tf = self._tf
        is_hole = _holes(array) if spec.layout != "dense" else np.zeros(1, dtype=bool)
        if spec.dtype == "string":
            dense = tf.constant(array.astype(object), dtype=tf.string)
        else:
            filled = np.where(is_hole, 0, array) if is_hole.any() else array
            dense = tf.cast(tf.constant(filled), spec.dtype)
        if spec.layout == "sparse":
            sparse = tf.sparse.from_dense(dense)
            return dict(zip(spec.components, (sparse.indices, sparse.values, sparse.dense_shape), strict=True))
        if spec.layout == "ragged":
            ragged = tf.RaggedTensor.from_tensor(dense, lengths=_lengths(is_hole))
            return dict(zip(spec.components, (ragged.values, ragged.row_splits), strict=True))
        return {spec.name: dense}

    def _array(self, name: str, value: Any, rows: int | None) -> Array:
        array = value if isinstance(value, np.ndarray) else _numpy(self._tf, value, name)
        if array.dtype.name == "bfloat16":
            array = array.astype(np.float32)
        if array.dtype.name not in DTYPES and array.dtype.kind not in "OUS":
            raise Refused("output_not_numeric", f"The output {name!r} holds {array.dtype.name}; numbers are needed.")
        if array.ndim == 0:
            raise Refused(
                "output_rows_mismatch",
                f"The output {name!r} is a single number for all rows, such as a loss; one answer a row is needed. "
                "Export a signature that answers for each row.",
            )
        return np.asarray(array[:rows])

    def _fixed_rows(self) -> int | None:
        """The batch size that the signature was exported with, where it was."""
        sizes = [spec.shape[0] for spec in self._job.inputs if spec.shape]
        return next((size for size in sizes if size), self._state.rows)

    def _batch_rows(self, inputs: Mapping[str, Array]) -> int:
        row_bytes = sum(_row_bytes(array) for array in inputs.values())
        by_input = BATCH_BYTES // max(row_bytes, 1)
        by_weights = BATCH_PARAMETER_ROWS // max(self._job.parameters or 1, 1)
        return int(np.clip(min(by_input, by_weights), MIN_BATCH_ROWS, MAX_BATCH_ROWS))


def _holes(array: Array) -> Array:
    """(rows, ...) whether nothing stands there: of lists, what is missing at their ends."""
    if array.dtype == object:
        return np.asarray(array == b"", dtype=bool)
    return np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, dtype=bool)


def _lengths(is_hole: Array) -> Array:
    """(rows,) places up to the last that is no hole."""
    there = np.asarray(np.logical_not(is_hole.reshape(*is_hole.shape[:2], -1)).any(axis=2))
    return np.where(there.any(axis=1), there.shape[1] - there[:, ::-1].argmax(axis=1), 0).astype(np.int64)


def choose_device(tf: Any, wanted: Device) -> str:
    """Restrict TensorFlow to the device, and name it. GPU memory is taken as needed, not all at once.

    Raises:
        Refused: `device_unavailable`.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if wanted == "gpu" and not gpus:
        raise Refused(
            "device_unavailable",
            "resources.device asks for a GPU, but TensorFlow sees none here. Ask for cpu or auto, or run a worker "
            "with a GPU, its driver and tensorflow[and-cuda].",
        )
    if wanted == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return "cpu"
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name")
    return f"gpu ({name})" if name else "gpu"


def _function(tf: Any, job: Job, state: State) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """The signature as a concrete function: traced when the model was saved, never again."""
    try:
        loaded = tf.saved_model.load(job.path, tags=list(job.tags))
        function = loaded.signatures[job.signature]
        state.hold(function.variables)
    except Exception as error:
        raise _refusal(error, "model_load_failed", "TensorFlow cannot load the model") from error
    # `loaded` owns the variables that the function uses
    return lambda fed, _owner=loaded: function(**fed)  # type: ignore[misc]


def _session(tf: Any, job: Job) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """The signature in a session, for models of TensorFlow 1 that the loader of TensorFlow 2 refuses."""
    v1 = tf.compat.v1
    options = v1.ConfigProto(allow_soft_placement=True)  # graphs name devices of the machine that they were made on
    options.gpu_options.allow_growth = True
    if job.device == "cpu":
        options.device_count["GPU"] = 0
    try:
        session = v1.Session(graph=tf.Graph(), config=options)
        with session.graph.as_default():
            meta_graph = v1.saved_model.load(session, list(job.tags), job.path)
        signature = meta_graph.signature_def[job.signature]
    except Exception as error:
        raise _refusal(error, "model_load_failed", "TensorFlow cannot load the model") from error
    fetches = {name: tensor.name for name, tensor in signature.outputs.items() if tensor.name}
    places = {name: tensor.name for name, tensor in signature.inputs.items()}
    for name, tensor in signature.inputs.items():
        if tensor.HasField("coo_sparse"):
            sparse = tensor.coo_sparse
            parts = (sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name)
            places |= {f"{name}_{part}": place for part, place in zip(SPARSE_PARTS, parts, strict=True)}

    def call(fed: Mapping[str, Any]) -> Mapping[str, Any]:
        feeds = {places.get(name, name): tensor.numpy() for name, tensor in fed.items()}
        return session.run(fetches, feeds)  # type: ignore[no-any-return]

    return call


def require_registered(ops: Mapping[str, str]) -> None:
    """Hold a graph's ops (op -> a node of it) against the registry of this TensorFlow, before anything is loaded.

    Raises:
        Refused: `op_unsupported`, naming the first that is not there; `model_forbidden_op`, one that nobody looked at.
    """
    from tensorflow.python.framework import op_def_registry  # noqa: PLC0415 - no public API asks the registry

    known = allowed() | refused()  # of which the second were judged before
    for op in sorted(ops):
        if op_def_registry.get(op) is None:
            problem = unsupported(op, ops[op])
            raise Refused(problem.code, problem.detail, op=op)
        if op not in known:
            raise Refused(
                "model_forbidden_op",
                f"The model holds the op {op[:100]!r}, which this release of fitcheck does not know to be harmless: it "
                "is newer, or hidden from Python. Export the model without it.",
                op=op,
            )


def _refusal(error: BaseException, code: str, what: str) -> Refused:
    """The problem of an error; an op that the machine's devices cannot run is one of its own."""
    op = _NO_KERNEL.search(str(error))
    if op is None:
        return Refused(code, f"{what}: {telling(error)}")
    return Refused(
        "op_unsupported",
        f"{what}: the op {op[1]!r} has no kernel for the devices here. It was made for a GPU or another accelerator: "
        "export the model with layers that run everywhere, or run a worker with such a device.",
        op=op[1],
    )


def _as_sent(value: Array) -> Array:
    return value.astype(np.float32) if value.dtype.name == "bfloat16" else value


def _numpy(tf: Any, value: Any, name: str) -> Array:
    if isinstance(value, tf.RaggedTensor | tf.SparseTensor):
        raise Refused(
            "output_not_dense", f"The output {name!r} is not dense; export one number, or one a class, per row."
        )
    return np.asarray(value.numpy())


def _padded(array: Array, missing: int) -> Array:
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing > 0 else array


def _row_bytes(array: Array) -> int:
    values = int(np.prod(array.shape[1:], dtype=np.int64))
    return values * (TEXT_BYTES if array.dtype == object else array.dtype.itemsize)


def _joined(parts: Sequence[Outputs]) -> Outputs:
    return parts[0] if len(parts) == 1 else {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
