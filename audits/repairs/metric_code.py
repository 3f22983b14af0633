"""The call of scikit-learn that computes a metric, for the code of remedies."""

_CALLS = {
    "accuracy": "accuracy_score(labels, answers)",
    "balanced_accuracy": "balanced_accuracy_score(labels, answers)",
    "precision": "precision_score(labels, answers)",
    "recall": "recall_score(labels, answers)",
    "specificity": "recall_score(labels, answers, pos_label=0)",
    "negative_precision": "precision_score(labels, answers, pos_label=0)",
    "f1": "f1_score(labels, answers)",
    "negative_f1": "f1_score(labels, answers, pos_label=0)",
    "precision_macro": "precision_score(labels, answers, average='macro')",
    "precision_weighted": "precision_score(labels, answers, average='weighted')",
    "f1_macro": "f1_score(labels, answers, average='macro')",
    "macro_f1": "f1_score(labels, answers, average='macro')",
    "f1_weighted": "f1_score(labels, answers, average='weighted')",
    "mcc": "matthews_corrcoef(labels, answers)",
    "cohen_kappa": "cohen_kappa_score(labels, answers)",
    "roc_auc": "roc_auc_score(labels, scores, multi_class='ovr')",
    "roc_auc_weighted": "roc_auc_score(labels, scores, multi_class='ovr', average='weighted')",
    "average_precision": "average_precision_score(labels, scores)",
    **{f"top_{k}_accuracy": f"top_k_accuracy_score(labels, scores, k={k})" for k in (2, 3, 5, 10)},
    "log_loss": "log_loss(labels, scores)",
    "brier": "brier_score_loss(labels, scores)",
    "mae": "mean_absolute_error(labels, answers)",
    "mse": "mean_squared_error(labels, answers)",
    "rmse": "root_mean_squared_error(labels, answers)",
    "mape": "mean_absolute_percentage_error(labels, answers)",
    "mape_percent": "100 * mean_absolute_percentage_error(labels, answers)",
    "r2": "r2_score(labels, answers)",
    "explained_variance": "explained_variance_score(labels, answers)",
}


def measuring_code(names: list[str]) -> str:
    """A function `measured(labels, answers, scores)` that computes these metrics; those without a call are left out.

    Args:
        names: keys of `audits.evidence.reported.table.METRICS`.
    """
    calls = {name: _CALLS[name] for name in dict.fromkeys(names) if name in _CALLS} or {"accuracy": _CALLS["accuracy"]}
    functions = sorted({call.removeprefix("100 * ").partition("(")[0] for call in calls.values()})
    entries = "".join(f"        {name!r}: {call},\n" for name, call in calls.items())
    return (
        f"from sklearn.metrics import {', '.join(functions)}\n\n"
        "def measured(labels, answers, scores=None):\n"
        '    """All rows of one split at once; scores are the probabilities, of class 1 where there are two."""\n'
        f"    return {{\n{entries}    }}\n"
    )
