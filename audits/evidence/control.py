"""The control learner: what a simple, honest learner gets out of the same data.

Its transfer between the splits separates "the model is bad" from "the data are bad": see `ControlMatrix`.
A forest of extremely randomised trees (Geurts, Ernst & Wehenkel, 2006, https://doi.org/10.1007/s10994-006-6226-1)
answers its own training rows out of bag, so that one fit gives both the cross-fitted score at home and the transfer
to the other split (Breiman, 2001, https://doi.org/10.1023/A:1010933404324). A regularised linear learner,
cross-fitted, stands beside it for the small and the linear problems that forests are poor at.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audits.artefacts import Array, Rows
from audits.evidence.features import FeatureSpace
from audits.evidence.images import ImageForm, reduced
from audits.evidence.labels import UNKNOWN

FOREST, LINEAR = "forest of randomised trees", "linear"
TREES = 60
# A bootstrap sample leaves out a row with probability 1/e.
OUT_OF_BAG = round(TREES / np.e)
MAX_CONTROL_ROWS = 2_500
MAX_CONTROL_COLUMNS = 64
MAX_CATEGORIES = 50
# Of an image; what a simple learner learns from it is coarse.
MAX_IMAGE_VALUES = 1024
FOLDS = 5
# With fewer feature values, threads cost more than they save.
PARALLEL_VALUES = 50_000
# Fewer rows than this of a class, or in all, and a control learner says nothing.
MIN_CONTROL_ROWS = 50
MIN_CLASS_ROWS = 5


class ControlEncoder:
    """Features as numbers for the control learners, fitted on the training rows alone.

    Numbers stay as they are, categories become their rank by training frequency, and anything wide is projected
    on its 64 leading principal components.
    """

    def __init__(self, space: FeatureSpace, train: Rows) -> None:
        self._space = space
        self._categories = {name: _ranks(cast("pd.DataFrame", train)[name]) for name in space.texts}
        wide = self._plain(train)
        self._medians = _column_medians(wide)
        self._projection: Any = None
        if wide.shape[1] > MAX_CONTROL_COLUMNS and len(wide) > MAX_CONTROL_COLUMNS:
            self._projection = PCA(MAX_CONTROL_COLUMNS, svd_solver="randomized", random_state=0)
            self._projection.fit(self._filled(wide))

    def __call__(self, rows: Rows) -> Array:
        """(rows, columns) float64, finite."""
        filled = self.columns(rows)
        return filled if self._projection is None else np.asarray(self._projection.transform(filled))

    def columns(self, rows: Rows) -> Array:
        """(rows, numeric units and then texts) float64, finite, before any projection."""
        return self._filled(self._plain(rows))

    def _plain(self, rows: Rows) -> Array:
        if self._space.layout == "image":
            return _pixels(self._space, np.asarray(rows))
        numbers = self._space.matrix(rows)
        if not self._categories:
            return numbers
        frame = cast("pd.DataFrame", rows)
        texts = [frame[name].map(ranks).to_numpy(dtype=np.float64) for name, ranks in self._categories.items()]
        return np.column_stack([numbers, *texts])

    def _filled(self, plain: Array) -> Array:
        # float32's range is the forest's; what lies outside is as good as infinite
        return np.clip(np.where(np.isnan(plain), self._medians, plain), -1e30, 1e30)


def _pixels(space: FeatureSpace, rows: Array) -> Array:
    """(rows, values) float64; of large images the means of blocks of pixels."""
    if math.prod(rows.shape[1:]) > MAX_IMAGE_VALUES:
        form = ImageForm.of(space, rows)
        rows = reduced(form.images(rows), MAX_IMAGE_VALUES) if form else _thinned(rows)
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)


def _thinned(rows: Array) -> Array:
    flat = rows.reshape(len(rows), -1)
    return flat[:, :: -(-flat.shape[1] // MAX_IMAGE_VALUES)]


def _ranks(column: "pd.Series[Any]") -> dict[Any, int]:
    return {value: rank for rank, value in enumerate(column.value_counts().index[:MAX_CATEGORIES])}


def _column_medians(values: Array) -> Array:
    empty = np.isnan(values).all(axis=0)
    medians = np.zeros(values.shape[1])
    if (~empty).any():
        medians[~empty] = np.nanmedian(values[:, ~empty], axis=0)
    return medians


@dataclass(frozen=True)
class Transfer:
    """Answers of one control learner that was fitted on one split.

    Attributes:
        home: (rows,) cross-fitted answers on its own split.
        away: (rows,) answers on the other split.
        learner: which learner it was.
        home_outputs: (rows, classes) cross-fitted probabilities at home; (rows,) quantities for a regression.
        away_outputs: likewise away, from as few trees or rows as a row at home is answered from, so that the two
            differ only where the splits do.
    """

    home: Array
    away: Array
    learner: str
    home_outputs: Array
    away_outputs: Array


def transfer(
    features: Array, labels: Array, other: Array, *, classes: int, score: Callable[[Array, Array], float]
) -> Transfer:
    """Fit the control learners on one split and keep the one that scores best out of sample at home.

    Args:
        features: (rows, columns), finite.
        labels: (rows,) class indices, or quantities when `classes` is 0.
        other: (other rows, columns) of the other split.
        classes: number of classes, 0 for a regression.
        score: metric of (labels, answers), higher is better.
    """
    candidates = [_forest(features, labels, other, classes), _linear(features, labels, other, classes)]
    return max(candidates, key=lambda candidate: score(labels, candidate.home))


def _forest(features: Array, labels: Array, other: Array, classes: int) -> Transfer:
    model = _trees(classes, oob_score=True)
    _fit(model, features, labels)
    if not classes:
        home = model.oob_prediction_
        return Transfer(home, model.predict(other), FOREST, home, _few_trees(model, other, "predict"))
    at_home = np.nan_to_num(model.oob_decision_function_)
    home = model.classes_[at_home.argmax(axis=1)]
    outputs = [_by_class(p, model.classes_, classes) for p in (at_home, _few_trees(model, other, "predict_proba"))]
    return Transfer(home, model.predict(other), FOREST, *outputs)


def _trees(classes: int, **settings: Any) -> Any:
    settings |= {"n_estimators": TREES, "bootstrap": True, "random_state": 0, "min_samples_leaf": 2}
    if classes:
        return ExtraTreesClassifier(class_weight="balanced_subsample", **settings)
    return ExtraTreesRegressor(max_features=1 / 3, **settings)


def _few_trees(model: Any, rows: Array, method: str) -> Array:
    """What as many trees answer as have not seen a row of their own training data."""
    rows = rows.astype(np.float32)
    return np.asarray(np.mean([getattr(tree, method)(rows) for tree in model.estimators_[:OUT_OF_BAG]], axis=0))


def _by_class(probabilities: Array, present: Array, classes: int) -> Array:
    """(rows, classes) from the columns of the classes that the learner has seen."""
    result = np.zeros((len(probabilities), classes))
    result[:, present] = probabilities
    return result


def _linear(features: Array, labels: Array, other: Array, classes: int) -> Transfer:
    build = _logistic if classes else _ridge
    home = np.empty(len(labels), dtype=labels.dtype if classes else np.float64)
    shape = (classes,) if classes else ()
    at_home, away = np.zeros((len(labels), *shape)), np.zeros((len(other), *shape))
    folds: Any = (
        StratifiedKFold(FOLDS, shuffle=True, random_state=0) if classes else KFold(FOLDS, shuffle=True, random_state=0)
    )
    for fold, (fit, held_out) in enumerate(folds.split(features, labels)):
        model = build().fit(features[fit], labels[fit])
        home[held_out] = model.predict(features[held_out])
        # rows of the other split are shared out among the folds, as the rows at home are
        for outputs, rows, at in ((at_home, features, held_out), (away, other, np.arange(fold, len(other), FOLDS))):
            if len(at):
                outputs[at] = (
                    _by_class(model.predict_proba(rows[at]), model.classes_, classes)
                    if classes
                    else (model.predict(rows[at]))
                )
    return Transfer(home, build().fit(features, labels).predict(other), LINEAR, at_home, away)


def _logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=60, tol=1e-2, class_weight="balanced"))


def _ridge() -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(alphas=(1e-2, 1.0, 100.0)))


def usable(labels: Array, classes: int) -> str | None:
    """Why no control learner can be fitted on these labels, or None."""
    if len(labels) < MIN_CONTROL_ROWS:
        return f"{len(labels)} rows, a control learner needs {MIN_CONTROL_ROWS}"
    if classes:
        counts = np.bincount(labels[labels != UNKNOWN], minlength=classes)
        counts = counts[counts > 0]
        if len(counts) < 2 or counts.min() < MIN_CLASS_ROWS:
            return f"a class has fewer than {MIN_CLASS_ROWS} rows"
    return None


def domain_scores(train: Array, validation: Array, used_train: Array, used_validation: Array) -> tuple[Array, Array]:
    """How much each row looks like a validation row, in [0, 1], by a forest that has not seen it.

    A classifier two-sample test (Lopez-Paz & Oquab, 2017, https://arxiv.org/abs/1610.06545): where a learner
    cannot tell the splits apart, its scores rank them no better than chance. One half is the point of indifference,
    whatever the numbers of rows.

    Args:
        train: (rows, columns), finite.
        validation: (rows, columns), finite.
        used_train: (rows,) the rows to learn from, chosen so that both splits have the same class shares: a change
            of prevalence alone is no change of the inputs.
        used_validation: likewise.
    """
    features = np.concatenate([train, validation])
    domain = np.repeat([0, 1], [len(train), len(validation)])
    used = np.concatenate([used_train, used_validation])
    model = ExtraTreesClassifier(
        TREES, bootstrap=True, oob_score=True, random_state=0, min_samples_leaf=5, max_features="sqrt"
    )
    _fit(model, features[used], domain[used])
    ours, theirs = int(used_validation.sum()), int(used_train.sum())
    votes = np.empty(len(domain))
    votes[used] = np.nan_to_num(model.oob_decision_function_[:, 1], nan=ours / (ours + theirs))
    if not used.all():
        votes[~used] = model.predict_proba(features[~used])[:, 1]
    scores = votes * theirs / (votes * theirs + (1 - votes) * ours)
    return scores[: len(train)], scores[len(train) :]


def _fit(model: Any, features: Array, labels: Array) -> None:
    model.set_params(n_jobs=-1 if features.size > PARALLEL_VALUES else None)
    with warnings.catch_warnings():
        # in a few rows a tree or two may be all that has not seen a row; such votes are worth less, not wrong
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
        model.fit(features, labels)


def refitted(learner: str, features: Array, labels: Array, other: Array, *, classes: int) -> Array:
    """(other rows, classes) probabilities, or (other rows,) quantities, of one of `transfer`'s learners fitted anew."""
    if learner == LINEAR:
        model = (_logistic if classes else _ridge)().fit(features, labels)
    else:
        model = _trees(classes)
        _fit(model, features, labels)
    return (
        _by_class(model.predict_proba(other), model.classes_, classes) if classes else np.asarray(model.predict(other))
    )


def losses(labels: Array, outputs: Array) -> Array:
    """(rows,) log loss of (rows, classes) probabilities, squared error of (rows,) quantities."""
    if outputs.ndim == 1:
        return np.asarray(np.square(labels - outputs))
    # a vote of few trees is no certainty
    share = np.clip(outputs[np.arange(len(labels)), labels], 0.5 / TREES, 1.0)
    return np.asarray(-np.log(share))
