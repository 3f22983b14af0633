"""The three suites of deepchecks for tables; an alarm is a check with a condition that did not pass."""

import re

import pandas as pd
import reading
from deepchecks.tabular import Dataset
from deepchecks.tabular.suites import data_integrity, model_evaluation, train_test_validation

SPLIT = re.compile(r" - (Train|Test) Dataset$")


def alarms(case):
    if case.images:
        raise reading.NotServedError("its checks of images need a loader of its own")
    names = [str(name) for name in case.classes]
    sets = [dataset(case, split) for split in (case.train, case.validation)]
    answers = {}
    for end, split in (("train", case.train), ("test", case.validation)):
        if case.is_regression:
            answers[f"y_pred_{end}"] = split.predictions
        else:
            answers[f"y_proba_{end}"] = split.predictions
            answers[f"y_pred_{end}"] = [names[i] for i in split.predictions.argmax(axis=1)]
    if not case.is_regression:
        answers["model_classes"] = names
    # Given, because working it out on recorded answers takes minutes; it only orders what is shown.
    answers["feature_importance"] = pd.Series(1 / len(case.train.features), index=case.train.features)
    raised = []
    for suite in (data_integrity(), train_test_validation(), model_evaluation()):
        given = answers if suite.name != "Data Integrity Suite" else {}
        results = suite.run(*sets, **given).results
        raised += [SPLIT.sub("", result.get_header()) for result in results if failed(result)]
    return raised


def failed(result):
    return any(not found.is_pass() for found in getattr(result, "conditions_results", []))


def dataset(case, split):
    texts = [name for name in split.features if split.frame[name].dtype == object]
    task = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}[case.task]
    return Dataset(
        split.frame,
        label="label",
        features=split.features,
        cat_features=texts,
        datetime_name=case.roles.get("time"),
        index_name=case.roles.get("group") or case.roles.get("id"),
        label_type=task,
        convert_datetime=False,
    )


reading.run(alarms)
