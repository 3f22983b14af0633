"""What can be seen to be wrong at once is said at once, with the field to blame."""

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audits import preflight
from audits.sources import Roots
from schemas.problem import ProblemError
from schemas.request import AuditRequest

EXAMPLE = Path(__file__).parents[2] / "examples" / "wrong_scaling"


@pytest.fixture
def body(tmp_path: Path) -> dict[str, Any]:
    """A sound request; its validation file may be rewritten."""
    validation = pd.read_csv(EXAMPLE / "validation.csv")
    validation.to_csv(tmp_path / "v.csv", index=False)
    (tmp_path / "history.json").write_text(json.dumps({"loss": [1.0, 0.5]}))
    return {
        "model": {"uri": str(EXAMPLE / "model")},
        "data": {
            "train": {"uri": str(EXAMPLE / "train.csv")},
            "validation": {"uri": str(tmp_path / "v.csv")},
            "label": "benign",
        },
        "history": {"uri": str(tmp_path / "history.json")},
    }


@pytest.fixture
def check(tmp_path: Path) -> Callable[[dict[str, Any]], None]:
    return lambda body: preflight.check(AuditRequest.model_validate(body), Roots((EXAMPLE, tmp_path)))


@pytest.fixture
def refused(body: dict[str, Any], check) -> Callable[..., ProblemError]:
    """The problem of the sound request after a change: refused("data.label", "nope")."""

    def refuse(field: str, value: object) -> ProblemError:
        changed = copy.deepcopy(body)
        *path, last = field.split(".")
        place = changed
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
        with pytest.raises(ProblemError) as caught:
            check(changed)
        return caught.value

    return refuse


def test_a_sound_request_passes_quickly(body, check) -> None:
    check(body)
    begun = time.process_time()
    check(body)

    assert time.process_time() - begun < 0.3


@pytest.mark.parametrize(
    ("field", "value", "code", "blamed"),
    [
        ("model.uri", "nope", "model_not_found", "model.uri"),
        ("model.uri", "s3://bucket/model", "uri_not_allowed", "model.uri"),
        ("model.uri", "/etc", "uri_outside_roots", "model.uri"),
        ("model.uri", str(EXAMPLE / "*"), "uri_ambiguous", "model.uri"),
        ("model.uri", str(EXAMPLE / "train.csv"), "not_a_saved_model", "model.uri"),
        ("model.signature", "nope", "signature_missing", "model.signature"),
        ("model.tags", ["gpu"], "tags_missing", "model.tags"),
        ("data.train.uri", "nope.csv", "data_not_found", "data.train.uri"),
        ("data.validation.uri", "file://host/x", "uri_malformed", "data.validation.uri"),
        ("data.label", "nope", "label_missing", "data.label"),
        ("data.label", None, "label_required", "data.label"),
        ("data.features", ["mean_radius"], "feature_count_mismatch", "data.features"),
        ("data.features", ["nope"], "feature_missing", "data.train.uri"),
        ("data.group", "nope", "column_missing", "data.group"),
        ("output.tensor", "nope", "output_missing", "output.tensor"),
        ("history.uri", "nope.json", "history_not_found", "history.uri"),
        ("history.uri", str(EXAMPLE / "request.json"), "history_malformed", "history.uri"),
    ],
)
def test_what_is_wrong_with_a_request(refused, field: str, value: object, code: str, blamed: str) -> None:
    problem = refused(field, value)

    assert (problem.code, problem.field) == (code, blamed)
    assert problem.detail.endswith((".", "?"))


@pytest.mark.parametrize(
    ("change", "code", "column"),
    [
        (lambda v: v.drop(columns="mean_radius"), "feature_missing", "mean_radius"),
        (lambda v: v.assign(mean_radius="big"), "text_in_numeric_column", "mean_radius"),
        (lambda v: v.assign(benign=None), "label_missing_values", "benign"),
        (lambda v: v.iloc[:0], "data_empty", None),
    ],
)
def test_what_is_wrong_with_the_data(refused, tmp_path: Path, change, code: str, column: str | None) -> None:
    change(pd.read_csv(tmp_path / "v.csv")).to_csv(tmp_path / "v.csv", index=False)
    problem = refused("priority", 1)

    assert (problem.code, problem.column) == (code, column)
    assert problem.field is not None
    assert problem.field.startswith("data.")


def test_rows_that_will_not_be_read_are_not_judged(body, check, tmp_path: Path) -> None:
    validation = pd.read_csv(tmp_path / "v.csv").astype({"benign": float})
    validation.loc[100, "benign"] = None
    validation.to_csv(tmp_path / "v.csv", index=False)

    check(body | {"resources": {"max_rows": 100}})
    with pytest.raises(ProblemError):
        check(body)


def test_a_file_that_is_not_what_its_name_says(refused, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_bytes(b"PAR1\x15 and more")

    assert refused("priority", 1).code == "data_format_mismatch"


def test_what_must_be_fetched_is_left_to_the_worker(body, tmp_path: Path) -> None:
    body["data"]["train"]["uri"] = "s3://bucket/t.csv"
    request = AuditRequest.model_validate(body)

    preflight.check(request, Roots((EXAMPLE, tmp_path), remote=("s3://bucket/",)))
    with pytest.raises(ProblemError) as caught:
        preflight.check(request, Roots((EXAMPLE, tmp_path), remote=("s3://other/",)))
    assert (caught.value.code, caught.value.field) == ("uri_not_allowed", "data.train.uri")


def test_limits_that_do_not_exist(refused) -> None:
    assert refused("checks.limits", {"preprocessing.outliers": {"nope": 1}}).field is not None


def test_neither_tensorflow_nor_a_check_is_imported() -> None:
    code = (
        "import sys; from audits import preflight; "
        "sys.exit('tensorflow' in sys.modules or 'audits.models' in sys.modules or 'audits.registry' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
