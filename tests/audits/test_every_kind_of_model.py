"""Every kind of model that users have is audited, or refused for the right reason.

The models are all of one task, see make_every_kind.py; the data too: y is true where a + b + c > 0.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from audits import preflight
from audits.engine import audit
from audits.sources import Roots
from schemas.problem import ProblemError
from schemas.report import Outcome, Report
from schemas.request import AuditRequest
from tests.audits.kind_frames import ROWS, frame

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables a,b,c,y and sign,y as train.csv, validation.csv, train_sign.csv, validation_sign.csv."""
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "validation"):
        rows = frame(split)
        rows.to_csv(folder / f"{split}.csv", index=False)
        signs = rows.assign(sign=np.where(rows.y == 1, "plus", "minus"))
        signs[["sign", "y"]].to_csv(folder / f"{split}_sign.csv", index=False)
    return folder


@pytest.fixture
def request_for(saved_models: Path, data: Path) -> Callable[..., AuditRequest]:
    def make(name: str, *, table: str = "", **model: Any) -> AuditRequest:
        return AuditRequest.model_validate(
            {
                "model": {"uri": str(saved_models / "every_kind" / name)} | model,
                "data": {
                    "train": {"uri": str(data / f"train{table}.csv")},
                    "validation": {"uri": str(data / f"validation{table}.csv")},
                    "label": "y",
                },
                "checks": {"include": ["metrics.weak_model"]},
            }
        )

    return make


@pytest.fixture
def roots(saved_models: Path, data: Path) -> Roots:
    return Roots((saved_models, data))


@pytest.fixture
def audited(request_for, roots: Roots) -> Callable[..., Report]:
    """The report on a model, which also passes what the API looks at."""

    def run(name: str, **options: Any) -> Report:
        request = request_for(name, **options)
        preflight.check(request, roots)
        return audit(request, audit_id="one", roots=roots)

    return run


@pytest.fixture
def refused(request_for, roots: Roots) -> Callable[..., ProblemError]:
    def run(name: str, **options: Any) -> ProblemError:
        with pytest.raises(ProblemError) as caught:
            audit(request_for(name, **options), audit_id="one", roots=roots)
        return caught.value

    return run


CONTAINERS = {
    "export": None,
    "above": "churn, the only SavedModel",
    "versions": "version 10, the newest of '2', '10'",
    "plain.zip": "unpacked from the archive plain.zip",
    "folder.zip": "churn, the only SavedModel in folder.zip",
    "versions.zip": "version 7",
    "plain.tar": "unpacked from the archive plain.tar",
    "folder.tar.gz": "unpacked",
    "folder.tgz": "unpacked",
    "whole.keras": "a Keras file: loaded with Keras",
    "whole.h5": "an HDF5 file: loaded with Keras",
    "named_wrongly.keras": "an HDF5 file",
    "one_keras_file": "final.keras, the only model",
    "keras.zip": "whole.keras, the only model in keras.zip; a Keras file: loaded",
}


@pytest.mark.parametrize(("name", "note"), CONTAINERS.items())
def test_a_container_is_opened_and_said(audited, name: str, note: str | None) -> None:
    report = audited(name)

    assert report.metrics.validation.values["accuracy"].estimate > 0.95
    assert (note or "") in report.model["notes"].get("container", "")
    assert ("container" in report.model["notes"]) == (note is not None)


CHOICES = {
    "session_tags": ("tags", "gpu + serve"),
    "session_no_tags": ("tags", "without tags"),
    "two_graphs": ("tags", "serve, of 'serve', 'serve + tpu'"),
    "session_key": ("signature", "the only signature"),
    "session_alike_signatures": ("signature", "'one', 'two' are one and the same"),
    "several_signatures": ("signature", "the only one of 'score', 'version'"),
    "trained_with_transform": ("signature", "the only one of 'score', 'transform_features'"),
    "estimator": ("signature", "serving_default answers to classification requests"),
    "callable_traced_twice": ("signature", "'score' (the model has no signature, and this is its only function)"),
    "stateful": ("state", "each call changes variables"),
    "optimizer_slots": ("run", "add_slot"),
    "session_forgotten_switches": ("run", "leaves out placeholders"),
}


@pytest.mark.parametrize(("name", "said"), CHOICES.items())
def test_a_choice_is_said(audited, name: str, said: tuple[str, str]) -> None:
    report = audited(name)

    assert report.metrics.validation.values["accuracy"].estimate > 0.95
    assert said[1] in report.model["notes"][said[0]]


FED = [
    *("callable", "fixed_batch", "ragged", "ranks", "sparse", "parser", "parser_2", "parser_single"),
    *("session", "session_defaults", "session_frozen", "session_names", "session_partitioned", "session_sparse"),
    *("from_within", "on_other_hardware"),
]


@pytest.mark.parametrize("name", FED)
def test_inputs_are_fed(audited, name: str) -> None:
    report = audited(name)

    assert report.metrics.validation.values["accuracy"].estimate > 0.95
    assert report.model["runs_as"] == "function"


@pytest.mark.parametrize("name", ["session_table", "session_legacy_table"])
def test_tables_are_filled(audited, name: str) -> None:
    assert audited(name, table="_sign").metrics.validation.values["accuracy"].estimate == 1


@pytest.mark.parametrize("name", ["session_switches", "session_switches_with_defaults", "session_forgotten_switches"])
def test_switches_are_set_for_prediction(audited, name: str) -> None:
    fixed = audited(name).data["mapping"]["fixed_inputs"]

    assert {(one["input"], one["value"]) for one in fixed} == {("is_training", False), ("keep_prob", 1.0)}


def test_features_of_messages_are_named(audited) -> None:
    (fed,) = audited("parser").data["mapping"]["inputs"]
    by_name = {feature["feature"]: feature for feature in fed["features"]}

    assert fed["sent_as"] == "serialized tf.train.Example"
    assert by_name["a"]["columns"] == ["a"]
    assert by_name["b"]["note"] == "left out of rows where it is missing"
    assert "does not follow" in by_name["label"]["note"]


def test_images_are_encoded_for_models_that_decode_them(saved_models: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "validation"):
        for label, level in {"dark": 90, "light": 170}.items():
            (tmp_path / split / label).mkdir(parents=True)
            for place in range(30):
                pixels = rng.normal(level, 10, size=(6, 6, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / label / f"{place}.png")
    body = {
        "model": {"uri": str(saved_models / "every_kind" / "picture_bytes")},
        "data": {split: {"uri": str(tmp_path / split)} for split in ("train", "validation")},
        "checks": {"include": ["metrics.weak_model"]},
    }
    report = audit(AuditRequest.model_validate(body), audit_id="one", roots=Roots((saved_models, tmp_path)))

    assert report.metrics.validation.values["accuracy"].estimate == 1
    assert report.data["mapping"]["inputs"][0]["sent_as"] == "bytes of PNG files"


REFUSED = {
    "lambda.keras": ("keras_custom_code", "'doubling' (Lambda)"),
    "lambda.h5": ("keras_custom_code", "'doubling' (Lambda)"),
    "custom.keras": ("keras_custom_code", "'squash' (ours>Squash)"),
    "not_built.keras": ("keras_not_built", "never been called"),
    "weights_only.weights.h5": ("keras_weights_only", "weights without a model"),
    "old_weights.h5": ("keras_weights_only", "weights without a model"),
    "two_functions": ("signature_missing", "several functions: 'first', 'second'"),
    "no_inputs": ("inputs_unsupported", "takes no rows"),
    "two_strange_graphs": ("tags_ambiguous", "'theirs', 'ours'"),
    "session_unfed": ("inputs_unsupported", "'context'"),
    "parser_missing": ("feature_missing", "'a' has 3 values a row"),
    "transform_fn": ("preprocessing_only", "'a_xf', 'b_xf', 'c_xf'"),
    "transform_2": ("preprocessing_only", "predicts nothing"),
    "transform_unnamed": ("preprocessing_only", "without a trained variable"),
}


@pytest.mark.parametrize(("name", "problem"), REFUSED.items())
def test_what_cannot_be_audited_is_refused_with_the_reason(refused, name: str, problem: tuple[str, str]) -> None:
    caught = refused(name)

    assert caught.code == problem[0]
    assert problem[1] in caught.detail


@pytest.mark.parametrize(
    ("name", "op", "origin"),
    [
        ("of_gpu", "CudnnRNN", "no kernel for the devices here"),
        ("tensorrt", "TRTEngineOp", "TensorRT"),
        ("tpu", "TPUPartitionedCall", "TPUs"),
        ("directml", "DmlFusedMatMul", "DirectML"),
        ("custom_op", "OurOwnMatMul", "a custom op"),
    ],
)
def test_ops_of_other_hardware_and_libraries_are_named(refused, name: str, op: str, origin: str) -> None:
    caught = refused(name)

    assert (caught.code, caught.op) == ("op_unsupported", op)
    assert origin in caught.detail


def test_a_function_may_be_named_as_the_signature(audited) -> None:
    report = audited("two_functions", signature="first")

    assert "'first' (a function of the saved object, not a signature)" in report.model["notes"]["signature"]


def test_nothing_is_left_of_what_was_unpacked(audited, refused, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    audited("keras.zip")
    refused("keras.zip", signature="nope")

    assert list(tmp_path.iterdir()) == []


def test_problems_name_the_archive_and_not_our_scratch_folder(refused, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    caught = refused("folder.zip", signature="nope")

    assert str(tmp_path) not in f"{caught.detail} {caught.file}"
    assert caught.file is not None
    assert "folder.zip" in caught.file


def test_arrays_of_texts_are_audited_like_columns_of_texts(saved_models: Path, tmp_path: Path):
    rng = np.random.default_rng(0)
    for split in ("train", "validation"):
        texts = np.array(["é" * n + "!" for n in rng.integers(0, 30, ROWS)])
        np.savez(tmp_path / f"{split}.npz", x=texts, y=np.char.str_len(texts) * 2 - 1 + rng.normal(size=ROWS))
    request = AuditRequest.model_validate(
        {
            "model": {"uri": str(saved_models / "lengths")},
            "data": {split: {"uri": str(tmp_path / f"{split}.npz")} for split in ("train", "validation")},
        }
    )

    report = audit(request, audit_id="one", roots=Roots((saved_models, tmp_path)))

    assert report.metrics.validation.values["r2"].estimate > 0.9
    assert [check.code for check in report.checks if check.outcome is Outcome.ERROR] == []
