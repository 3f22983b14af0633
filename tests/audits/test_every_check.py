"""Laws that every check keeps. `FAULTY` holds a case for each on which it must speak."""

import ast
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audits.catalogue import entries
from audits.evidence.case import Case, SplitEvidence
from audits.registry import CHECKS
from audits.results import CheckResult
from schemas.limits import LIMITS
from schemas.report import Outcome
from tests.audits.checks.metrics.test_dominated_by_few import dominated
from tests.audits.checks.metrics.test_miscalibration import sharpened
from tests.audits.checks.metrics.test_output_mismatch import softmax_over_one_unit
from tests.audits.checks.metrics.test_reported_mismatch import claimed
from tests.audits.checks.metrics.test_weak_segment import blind_to_a_place
from tests.audits.checks.overfitting.test_overtraining import curve, with_history
from tests.audits.checks.preprocessing.test_constant_feature import frozen
from tests.audits.checks.preprocessing.test_distribution_shift import selected
from tests.audits.checks.preprocessing.test_dtype_mismatch import truncating
from tests.audits.checks.preprocessing.test_duplicates import repeated
from tests.audits.checks.preprocessing.test_group_leakage import leaking as leaking_groups
from tests.audits.checks.preprocessing.test_identifier_feature import by_heart
from tests.audits.checks.preprocessing.test_image_geometry import of_pictures
from tests.audits.checks.preprocessing.test_imputation_spike import imputed
from tests.audits.checks.preprocessing.test_label_noise import EASY, mislabelled
from tests.audits.checks.preprocessing.test_non_finite_output import silent_above
from tests.audits.checks.preprocessing.test_prior_shift import thinned
from tests.audits.checks.preprocessing.test_target_leakage import leaking
from tests.audits.checks.preprocessing.test_temporal_leakage import leaking as leaking_times
from tests.audits.checks.preprocessing.test_unscaled_inputs import drowned
from tests.audits.checks.preprocessing.test_unshuffled import ordered
from tests.factories import (
    Task,
    by_category,
    case,
    case_of,
    constant,
    copied,
    examined,
    faults_found,
    fitted,
    holes,
    memoriser,
    miscut,
    outlying,
    permuted_labels,
    recoded,
    reordered,
    request_for,
    scaled,
    sentinels,
    splits,
)

CODES = [code for code, _ in CHECKS]
TESTS = Path(__file__).parent / "checks"
# These have a rule that no request has reason to move.
WITHOUT_LIMITS = {"preprocessing.unshuffled", "preprocessing.non_finite_output"}

FAULTY = {
    "overfitting.memorization": lambda: case(model=memoriser, signal=0.5),
    "overfitting.generalization_gap": lambda: case(model=memoriser, signal=0.5),
    "overfitting.overtraining": lambda: with_history(curve(), exported=-1),
    "overfitting.excess_capacity": lambda: case(model=memoriser, signal=0.5, parameters=100_000),
    "overfitting.no_signal": lambda: case(model=memoriser, signal=0.0, n_train=300, n_validation=200),
    "overfitting.underfitting": lambda: case(model=constant(0.5)),
    "metrics.imbalanced_accuracy": lambda: case(prevalence=0.1, model=constant(0.1)),
    "metrics.majority_class": lambda: case(model=constant(0.1)),
    "metrics.decision_threshold": lambda: case(model=miscut(4.0)),
    "metrics.miscalibration": lambda: case(model=sharpened(6.0), n_train=1000),
    "metrics.output_mismatch": softmax_over_one_unit,
    "metrics.dominated_by_few": dominated,
    "metrics.small_validation": lambda: case(n_validation=40, signal=1.0),
    "metrics.weak_model": lambda: case(model=constant(0.1)),
    "metrics.weak_segment": blind_to_a_place,
    "metrics.reported_mismatch": lambda: claimed("binary", {"name": "accuracy", "value": 1.0}),
    "metrics.incomplete_report": lambda: case(reported=["precision"], model=miscut(-4.0)),
    "preprocessing.missing_values": lambda: case(fault=holes(0.3)),
    "preprocessing.non_finite_output": lambda: case(model=silent_above(0.8)),
    "preprocessing.sentinel_values": lambda: case(fault=sentinels(-999.0, 0.4)),
    "preprocessing.imputation_spike": lambda: imputed("pooled mean"),
    "preprocessing.scaling_mismatch": lambda: case(fault=scaled(3.0)),
    "preprocessing.feature_order": lambda: case(fault=reordered(1, 2, 0)),
    "preprocessing.image_geometry": lambda: of_pictures(np.fliplr, channels=3),
    "preprocessing.label_encoding": lambda: case(fault=permuted_labels(1, 0)),
    "preprocessing.duplicate_leakage": lambda: case(fault=copied(0.3)),
    "preprocessing.target_leakage": leaking,
    "preprocessing.distribution_shift": lambda: selected(3.0, hard=True, n=4000),
    "preprocessing.outliers": lambda: case("regression", fault=outlying(0.05, 100.0)),
    "preprocessing.group_leakage": leaking_groups,
    "preprocessing.temporal_leakage": leaking_times,
    "preprocessing.duplicates": lambda: case(train_fault=repeated(0.4)),
    "preprocessing.prior_shift": lambda: case(signal=4.0, fault=thinned(0.08)),
    "preprocessing.label_noise": lambda: case(train_fault=mislabelled(0.25), **EASY),
    "preprocessing.category_mismatch": lambda: case(
        categories=2, model=by_category, fault=recoded({6: (1, 2, 3), 7: (2, 3, 0, 1)})
    ),
    "preprocessing.constant_feature": lambda: case("regression", fault=frozen(0, 2, 3), seed=1),
    "preprocessing.dtype_mismatch": truncating,
    "preprocessing.identifier_feature": by_heart,
    "preprocessing.unscaled_inputs": drowned,
    "preprocessing.unshuffled": lambda: case(train_fault=ordered),
}
every_check = pytest.mark.parametrize("code", CODES)


@cache
def spoken(code: str) -> CheckResult:
    """What the check says of its faulty case."""
    return judged(code, FAULTY[code]())


def judged(code: str, one: Case) -> CheckResult:
    return examined(one, {code})[1][code]


def told(result: CheckResult) -> dict[str, Any]:
    """Everything of a result that reaches the report."""
    parts = {name: getattr(result, name) for name in ("finding", "confirmation", "recovered")}
    plain = {name: None if part is None else part.model_dump() for name, part in parts.items()}
    return plain | {"outcome": result.outcome, "reason": result.reason, "smallest": result.smallest_visible_effect}


def test_every_check_has_a_faulty_case():
    assert set(FAULTY) == set(CODES)


@every_check
def test_speaks_of_its_faulty_case(code: str):
    result = spoken(code)

    assert result.finding is not None
    assert result.finding.code == code
    assert result.finding.family == code.partition(".")[0]
    assert result.outcome is Outcome.FAIL or not result.ranks


@every_check
def test_has_a_page_with_all_headings(code: str):
    (page,) = (entry for entry in entries() if entry.code == code)

    assert page.title.endswith(".")
    for text in (page.measures, page.why, page.inconclusive, page.fix, page.reference):
        assert len(text) > 5


@every_check
def test_has_tests_that_it_fires_and_that_it_stays_silent(code: str):
    family, _, name = code.partition(".")
    tree = ast.parse((TESTS / family / f"test_{name}.py").read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]

    assert any(n.startswith("test_fires_on_") for n in names)
    assert any(n.startswith("test_stays_silent_") for n in names)


def test_has_limits_or_needs_none():
    assert set(LIMITS) | WITHOUT_LIMITS == set(CODES)
    assert not set(LIMITS) & WITHOUT_LIMITS


@every_check
def test_says_the_same_of_the_same_case_twice(code: str):
    assert told(judged(code, FAULTY[code]())) == told(spoken(code))


@every_check
def test_the_order_of_the_validation_rows_is_irrelevant(code: str):
    again = judged(code, shuffled(FAULTY[code]()))

    assert again.outcome is spoken(code).outcome
    assert again.finding.severity is spoken(code).finding.severity


def shuffled(one: Case) -> Case:
    """The same case with its validation rows in another order."""
    split = one.validation
    order = np.random.default_rng(3).permutation(split.n)
    assert len(split.sample) == split.n
    sample = replace(split.sample.at(order), index=np.arange(split.n))
    mixed = SplitEvidence(
        split.name,
        split.labels[order],
        split.predictions.at(order),
        split.fingerprints[order],
        {name: values[order] for name, values in split.roles.items()},
        sample,
    )
    return replace(one, validation=mixed, mended=sample)


@every_check
def test_a_gain_goes_the_way_of_its_metric(code: str):
    proof = spoken(code).confirmation
    if proof is not None:
        is_fall = any(word in proof.metric for word in ("loss", "error", "share_of", "distance", "rmse", "mae"))
        assert proof.higher_is_better is not is_fall


@every_check
def test_every_number_is_finite_and_json(code: str):
    told_of = told(spoken(code))

    assert [value for value in numbers_in(told_of) if not math.isfinite(value)] == []
    json.dumps(told_of, allow_nan=False, default=str)


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from numbers_in(part)
    elif isinstance(value, int | float):
        yield value


@every_check
def test_evidence_holds_plain_values(code: str):
    """No numpy numbers: they pass for floats until somebody writes them."""
    evidence = spoken(code).finding.evidence

    assert {type(value) for value in numbers_in(evidence)} <= {int, float, bool}


@every_check
def test_says_what_to_do_in_words_and_in_code(code: str):
    remedy = spoken(code).finding.remedy

    assert remedy.text.endswith(".")
    assert remedy.code is None or "\t" not in remedy.code


@every_check
def test_the_remedys_code_defines_a_function(code: str):
    source = spoken(code).finding.remedy.code
    assert source is not None
    tree = ast.parse(source)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert functions
    if "keras" not in source:
        names: dict[str, Any] = {}
        exec(compile(source, "<remedy>", "exec"), names)
        assert all(callable(names[name]) for name in functions)


KERAS_TRIAL = """
import json, sys
import numpy as np
snippets = json.load(sys.stdin)
import keras
x, y = np.random.default_rng(0).normal(size=(40, 3)).astype("float32"), np.arange(40.0) % 2
for code, source in snippets.items():
    names = {}
    exec(compile(source, code, "exec"), names)
    callbacks = names["callbacks"]() if "callbacks" in names else []
    if "smaller_network" in names:
        model = names["smaller_network"](3, 1)
    elif "dense" in names:
        model = keras.Sequential([keras.layers.Input((3,)), names["dense"](4), names["dense"](1)])
    else:
        model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    if "with_scaled_inputs" in names:
        model = names["with_scaled_inputs"](model, x)
    for change in ("recalibrated_model", "with_fitting_output", "compile_with_huber"):
        model = names[change](model) if change in names else model
    model.compile("adam", "mse")
    model.fit(x, y, validation_data=(x, y), epochs=2, verbose=0, callbacks=callbacks)
    if "learns_one_batch" in names:
        assert len(names["learns_one_batch"](model, x, y, epochs=2)) == 2
    print(code, flush=True)
"""


@pytest.mark.tensorflow
@pytest.mark.timeout(300)
def test_the_keras_code_trains_a_network(tmp_path: Path):
    """In one process of its own: keras takes ten seconds to import."""
    snippets = {code: spoken(code).finding.remedy.code for code in CODES}
    snippets = {code: source for code, source in snippets.items() if source and "keras" in source}
    assert snippets

    trial = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KERAS_TRIAL],
        input=json.dumps(snippets),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=280,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )

    assert trial.returncode == 0, trial.stderr[-2000:]
    assert trial.stdout.split() == list(snippets)


@cache
def silent() -> dict[str, list[CheckResult]]:
    """What the checks say of a healthy model with many rows, one case a task."""
    results: dict[str, list[CheckResult]] = {}
    for task in ("binary", "multiclass", "regression"):
        one = healthy(task, n_train=1500, n_validation=1500, seed=1, layout="table")
        with_history = replace(one, history=curve(rise=0.0))
        for code, result in examined(with_history)[1].items():
            results.setdefault(code, []).append(result)
    return results


@every_check
def test_silence_states_what_would_have_been_seen(code: str):
    for result in silent()[code]:
        if result.outcome is Outcome.PASS:
            assert result.smallest_visible_effect is not None
            assert result.smallest_visible_effect > 0


SIZES = [
    *[(60, 60), (60, 150), (80, 80), (100, 60), (120, 90), (150, 150), (200, 100)],
    *[(250, 120), (300, 300), (350, 80), (400, 200), (500, 250), (800, 400), (2000, 1000)],
]
HEALTHY = [
    {"task": task, "layout": layout, "n_train": n_train, "n_validation": n_validation, "seed": seed}
    for seed, (n_train, n_validation) in enumerate(SIZES)
    for task, layout in (("binary", "table"), ("multiclass", "vector"), ("regression", "table"))
]
WITH_CATEGORIES = [
    {"task": task, "n_train": n_train, "n_validation": n_validation, "categories": 3, "texts": 1, "seed": 50 + seed}
    for seed, (n_train, n_validation) in enumerate(SIZES[::3])
    for task in ("binary", "multiclass", "regression")
]


def healthy(task: Task, n_train: int, n_validation: int, **world: Any) -> Case:
    """A model that learned from ten times the rows that it is shown with, so that nothing can be wrong with it."""
    train, validation = splits(task, n_train=10 * n_train, n_validation=n_validation, **world)
    shown = train.at(np.arange(n_train))
    answer = by_category(train, task) if world.get("categories") else fitted(train, task)
    return case_of(shown, validation, answer, request=request_for(task=task))


@pytest.mark.parametrize(
    ("every", "allowed"), [pytest.param(1, 2, id="all", marks=pytest.mark.long), pytest.param(5, 0, id="some")]
)
def test_healthy_models_are_left_alone(every: int, allowed: int):
    """57 worlds in which nothing is wrong; that few validation rows are few is no false alarm.

    The budget is one false finding in five audits; this asks for less than one in twenty.
    """
    alarms = {}
    for world in [*HEALTHY, *WITH_CATEGORIES][::every]:
        _, results = examined(healthy(**world), set(CODES) - {"metrics.small_validation"})
        assert Outcome.ERROR not in {result.outcome for result in results.values()}
        if faults_found(results):
            alarms[str(world)] = faults_found(results)

    assert len(alarms) <= allowed, alarms
