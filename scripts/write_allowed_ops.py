"""Writes the lists of TensorFlow's ops that a model may hold: `python -m scripts.write_allowed_ops [--check]`.

An op is allowed with its family, the module in which TensorFlow generates its Python function. What a new TensorFlow
adds to a family is not allowed before somebody has looked at it and run this.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from audits.sources.graph.allowed_ops import ALLOWED, KNOWN

# They compute; none of them names a file, a host, a device or a Python function.
FAMILIES = frozenset(
    {
        *(
            "array",
            "audio",
            "batch",
            "bitwise",
            "boosted_trees",
            "candidate_sampling",
            "clustering",
            "composite_tensor",
        ),
        *("control_flow", "count", "ctc", "cudnn_rnn", "data_flow", "functional", "image", "linalg", "list", "logging"),
        *("lookup", "manip", "map", "math", "nn", "optional", "parsing", "ragged_array", "ragged_conversion"),
        *("ragged_math", "random", "random_index_shuffle", "resource_variable", "rnn", "sdca", "set"),
        *("sparse", "sparse_csr_matrix", "special_math", "spectral", "state", "stateful_random"),
        *("stateless_random", "string", "training", "uniform_quant", "xla"),
    }
)
# Of these families, and refused: they read files, end the process, run elsewhere, or make handles of bytes.
REFUSED = re.compile(
    r"ImmutableConst|RecordInput|Abort|ParseTensor|RemoteCall|SymbolicGradient|InitializeTableFromDataset"
    r"|(Get|Delete)SessionTensor|GetSessionHandle.*|Barrier.*|(OrderedMap|Map)?(Unstage|Stage).*"
    r"|(OrderedMap|Map)(Clear|Incomplete|Peek|Size|Stage|Unstage).*|Stage(Clear|Peek|Size)|Mutex.*|ConsumeMutexLock"
    r"|EncodeWav|EncodePng|EncodeJpeg.*|DebugGradient.*|FakeQueue"
    r"|Xla(CustomCall|Send|Recv|Host|Launch|AotLaunch|.*Host|Spmd.*|Sparse.*Core.*|.*Csr.*).*|_.*"
)
# Of no family, or hidden from Python. What their attributes name is looked at one by one.
MORE = frozenset(
    {
        *("Const", "ShardedFilename", "ShardedFilespec", "DecodeProtoV2", "EncodeProto"),
        *("Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints", "Restore", "RestoreSlice", "RestoreV2"),
        *("_FusedMatMul", "_FusedConv2D", "_FusedBatchNormEx", "_FusedDepthwiseConv2dNative"),
    }
)
# The same name stands for other hardware there.
_ELSEWHERE = ("python/tpu/",)
_GENERATED = re.compile(r'_op_def_library\._apply_op_helper\(\s*"(\w+)"')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what would change")
    is_check = parser.parse_args().check
    changed = [path for path, text in contents().items() if path.read_text() != text]
    for path in changed:
        print(f"{'out of date' if is_check else 'written'}: {path}")
        if not is_check:
            path.write_text(contents()[path])
    return 1 if is_check and changed else 0


def contents() -> dict[Path, str]:
    """What the files hold for the TensorFlow that is installed."""
    families = dict(_families())
    allowed = {op for family in FAMILIES for op in families.get(family, set()) if not REFUSED.fullmatch(op)} | MORE
    known = {op for ops in families.values() for op in ops}
    return {ALLOWED: _lines(allowed), KNOWN: _lines(known - allowed)}


def _families() -> Iterator[tuple[str, set[str]]]:
    """Family -> its ops, read from the generated code without running it."""
    found: dict[str, set[str]] = {}
    root = _tensorflow()
    for path in sorted(root.rglob("gen_*_ops.py")):
        family = path.stem.removeprefix("gen_").removesuffix("_ops")
        if path.relative_to(root).as_posix().startswith(_ELSEWHERE):
            family = f"{family} of other hardware"
        found.setdefault(family, set()).update(_GENERATED.findall(path.read_text()))
    yield from found.items()


def _tensorflow() -> Path:
    found = find_spec("tensorflow")
    if found is None or found.origin is None:
        raise SystemExit("TensorFlow is not installed here")
    return Path(found.origin).parent


def _lines(ops: set[str]) -> str:
    return "".join(f"{op}\n" for op in sorted(ops))


if __name__ == "__main__":
    sys.exit(main())
