"""The hostile models and data by name, with what each must end in."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

PB = "saved_model.pb"

FORBIDDEN = frozenset({"model_forbidden_op"})
MALFORMED = frozenset({"model_malformed", "signature_missing"})
# What the protobuf shows: the codes that the model is refused with before anything of it runs.
REFUSED_UNSEEN: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            *("read_file", "read_labels", "read_environment", "read_lines", "read_mapped", "read_vocabulary"),
            *("list_folder", "write_file", "write_at_load", "write_printed", "write_checkpoint"),
            *("net_metadata", "net_debugger", "abort", "abort_exit_0", "check_fails", "python_function"),
            "forged_variant",
        ),
        FORBIDDEN,
    ),
    "billion_laughs": frozenset({"model_too_complex"}),
    "recursion": frozenset({"model_too_complex"}),
    "variable_100gb": frozenset({"model_too_large"}),
    "asset_traversal": frozenset({"model_path_escape"}),
    "asset_absolute": frozenset({"model_path_escape"}),
    "asset_link": frozenset({"model_path_escape"}),
    "asset_pipe": frozenset({"model_path_escape"}),
    "asset_missing": frozenset({"model_incomplete"}),
    "variables_link": frozenset({"model_path_escape"}),
    "no_variables": frozenset({"model_incomplete"}),
    "two_graphs": frozenset({"model_malformed"}),
    "text_graph": frozenset({"not_a_saved_model"}),
    "cut_graph": MALFORMED,
    "random_graph": MALFORMED,
    "empty_graph": MALFORMED,
    "lambda.keras": frozenset({"keras_custom_code"}),
    "function.keras": frozenset({"keras_custom_code"}),
}
# What no reading shows, or what an operator lets through: the codes that it ends with when it runs in its cage.
ENDS_IN: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            *("read_file", "read_labels", "read_environment", "read_lines", "read_mapped", "read_vocabulary"),
            *("write_file", "write_printed", "write_checkpoint", "net_metadata", "python_function"),
        ),
        frozenset({"model_refused_input"}),
    ),
    # gRPC ends the process where it may not open a socket
    "net_debugger": frozenset({"model_refused_input", "model_crashed", "model_timeout"}),
    "write_at_load": frozenset({"model_load_failed"}),
    "loop_call": frozenset({"model_timeout"}),
    "loop_at_load": frozenset({"model_timeout"}),
    "alloc_100gb": frozenset({"model_out_of_memory", "model_timeout"}),
    # Whether the memory or the time is over first, the machine decides.
    "alloc_ramp": frozenset({"model_out_of_memory", "model_timeout"}),
    "abort": frozenset({"model_crashed"}),
    "abort_exit_0": frozenset({"model_crashed"}),
    "check_fails": frozenset({"model_crashed", "model_refused_input"}),
    "print_flood": frozenset({"model_output_limit", "model_timeout"}),
    # A slow machine does not come to the end of writing it.
    "huge_output": frozenset({"output_too_large", "model_out_of_memory", "model_timeout"}),
}


def complete(folder: Path, secret: Path) -> None:
    """The entries that take no TensorFlow to make."""
    changes: dict[str, tuple[str, Callable[[Path], object]]] = {
        "asset_traversal": ("asset", lambda model: rename_asset(model, b"../a.txt")),
        "asset_absolute": ("asset", lambda model: rename_asset(model, b"/etc/aaa")),
        "asset_link": ("asset", lambda model: link(model / "assets" / "asset.txt", secret)),
        "asset_pipe": ("asset", lambda model: pipe(model / "assets" / "asset.txt")),
        "asset_missing": ("asset", lambda model: (model / "assets" / "asset.txt").unlink()),
        "variables_link": ("variables", lambda model: link(model / "variables" / "variables.index", secret)),
        "no_variables": ("variables", lambda model: shutil.rmtree(model / "variables")),
        "two_graphs": ("good", lambda model: shutil.copy(model / PB, model / "saved_model.cpb")),
        "text_graph": ("good", lambda model: (model / PB).rename(model / "saved_model.pbtxt")),
        "cut_graph": ("good", lambda model: (model / PB).write_bytes((model / PB).read_bytes()[:300])),
        "random_graph": ("good", lambda model: (model / PB).write_bytes(os.urandom(2_000))),
        "empty_graph": ("good", lambda model: (model / PB).write_bytes(b"")),
    }
    for name, (of, change) in changes.items():
        shutil.copytree(folder / of, folder / name)
        change(folder / name)
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "l", "function": "print(1)"}}
    keras_file(folder / "lambda.keras", layer)
    call = {"class_name": "function", "module": "os", "config": "system", "registered_name": "function"}
    keras_file(
        folder / "function.keras", {"class_name": "Dense", "module": "keras.layers", "config": {"activation": call}}
    )


def rename_asset(model: Path, name: bytes) -> None:
    """Names of the same length, so that the protobuf stays one."""
    content = (model / PB).read_bytes()
    old = b"asset.txt"
    (model / PB).write_bytes(content.replace(old, name.ljust(len(old), b"x")))


def link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def keras_file(path: Path, layer: dict[str, object]) -> None:
    model = {"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": [layer]}}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(model))
        file.writestr("metadata.json", "{}")
        file.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
