"""What a reported metric's name means."""

import pytest

from audits.evidence.reported.names import SPELLINGS, read_name
from audits.evidence.reported.table import METRICS


@pytest.mark.parametrize(
    ("name", "task", "metric"),
    [
        ("accuracy", "binary", "accuracy"),
        ("val_accuracy", "binary", "accuracy"),
        ("Sparse_Categorical_Accuracy", "multiclass", "accuracy"),
        ("acc", "multiclass", "accuracy"),
        ("F1-Score", "binary", "f1"),
        ("f1_macro", "multiclass", "f1_macro"),
        ("Macro F1", "binary", "f1_macro"),
        ("auc_1", "binary", "roc_auc"),
        ("ROC AUC", "binary", "roc_auc"),
        ("pr_auc", "binary", "average_precision"),
        ("sensitivity", "binary", "recall"),
        ("top_3_accuracy", "multiclass", "top_3_accuracy"),
        ("neg_mean_squared_error", "regression", "mse"),
        ("mean_squared_error", "binary", "brier_mean"),
        ("R^2", "regression", "r2"),
        ("val_loss", "binary", "log_loss"),
        ("loss", "regression", "mse"),
    ],
)
def test_spellings_of_keras_and_scikit_learn_are_known(name: str, task: str, metric: str):
    assert read_name(name, task, scores=True).metrics[0] == metric


def test_among_several_classes_a_name_without_average_may_mean_any():
    assert read_name("f1", "multiclass", scores=True).metrics == ("f1_macro", "f1_weighted", "accuracy")


def test_of_two_classes_the_positive_one_is_meant():
    assert read_name("precision", "binary", scores=True).metrics == ("precision",)


@pytest.mark.parametrize(("name", "split"), [("val_auc", "validation"), ("train_auc", "train"), ("auc", None)])
def test_a_prefix_names_the_split(name: str, split: str | None):
    assert read_name(name, "binary", scores=True).split == split


@pytest.mark.parametrize(
    ("name", "task", "scores"),
    [("ndcg", "binary", True), ("auc", "binary", False), ("f1", "regression", False), ("!", "binary", True)],
)
def test_what_cannot_be_computed_has_no_reading(name: str, task: str, scores: bool):
    assert read_name(name, task, scores=scores).metrics == ()


def test_every_reading_is_in_the_table():
    assert {metric for readings in SPELLINGS.values() for metric in readings} <= set(METRICS)
