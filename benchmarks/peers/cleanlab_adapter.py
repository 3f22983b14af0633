"""Datalab of cleanlab on the validation rows with the model's answers, and its label issues of the training rows.

An alarm is an issue type with at least one row, which is what Datalab reports; "(5 %)" stands behind it where
at least one row in twenty has the issue.
"""

import contextlib
import io

import numpy as np
import pandas as pd
import reading
from cleanlab import Datalab
from cleanlab.classification import CleanLearning
from cleanlab.regression.learn import CleanLearning as CleanRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ISSUES = ("label", "outlier", "near_duplicate", "non_iid", "null", "class_imbalance")
MATERIAL = 0.05


def alarms(case):
    raised = []
    if not case.is_regression and not case.validation.labels.isin(case.classes).any():
        return training_labels(case)
    with contextlib.redirect_stdout(io.StringIO()):
        lab = datalab(case)
    for _, row in lab.get_issue_summary().iterrows():
        raised += told(row["issue_type"], int(row["num_issues"]), len(case.validation.labels))
    return raised + training_labels(case)


def told(name, count, rows):
    return ([name] if count else []) + ([f"{name} (5 %)"] if count >= MATERIAL * rows else [])


def datalab(case):
    split = case.validation
    features = numbers(split.x)
    wanted = {name: {} for name in ISSUES if name != "class_imbalance" or not case.is_regression}
    if case.is_regression:
        lab = Datalab({"label": split.labels.to_numpy(float)}, label_name="label", task="regression")
        lab.find_issues(pred_probs=None, features=features, issue_types=without(wanted, "label"))
        values = np.nan_to_num(split.predictions)
        lab.find_issues(pred_probs=values, issue_types={"label": {}})
        return lab
    known = split.labels.isin(case.classes).to_numpy()
    codes = split.labels[known].map({name: i for i, name in enumerate(case.classes)}).to_numpy()
    lab = Datalab({"label": codes}, label_name="label", task="classification")
    if len(np.unique(codes)) < len(case.classes):  # its pred_probs must have a column for each label that occurs
        wanted = without(wanted, "label")
    answers = np.nan_to_num(split.predictions[known], nan=1 / len(case.classes))
    lab.find_issues(pred_probs=answers, features=features[known], issue_types=wanted)
    return lab


def without(issues, name):
    return {key: value for key, value in issues.items() if key != name}


def training_labels(case):
    """With the learner that cleanlab takes where none is given, on standardised columns."""
    X = pd.DataFrame(numbers(case.train.x))
    X = X.fillna(X.median()).fillna(0.0).to_numpy()
    if case.is_regression:
        cleaner = CleanRegression(make_pipeline(StandardScaler(), LinearRegression()), seed=0, verbose=False)
        issues = cleaner.find_label_issues(X, case.train.labels.to_numpy(float))
    else:
        codes = case.train.labels.map({name: i for i, name in enumerate(case.classes)}).to_numpy()
        cleaner = CleanLearning(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), seed=0)
        issues = cleaner.find_label_issues(X, codes)
    return told("training label", int(issues["is_label_issue"].sum()), len(X))


def numbers(X):
    """Texts as codes: cleanlab takes numbers alone."""
    return np.column_stack([pd.factorize(X[c])[0] if X[c].dtype == object else X[c].to_numpy(float) for c in X])


reading.run(alarms)
