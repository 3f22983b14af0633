"""The drift preset of evidently with the tests that it makes; an alarm is a test that failed."""

import re

import reading
from evidently import BinaryClassification, DataDefinition, Dataset, MulticlassClassification, Regression, Report
from evidently.presets import DataDriftPreset

COLUMN = re.compile(r"^Value Drift for column (?P<name>.+)$")


def alarms(case):
    if case.images:
        raise reading.NotServedError("pixels are no columns")
    sets = [dataset(case, split) for split in (case.train, case.validation)]
    ran = Report([DataDriftPreset()], include_tests=True).run(sets[1], sets[0])
    failed = [test["name"] for test in ran.dict()["tests"] if str(test["status"]).endswith("FAIL")]
    return [meaning(name) for name in failed]


def meaning(name):
    column = COLUMN.match(name)
    if column is None:
        return name.split(":")[0]
    of = column.group("name")
    return f"Value Drift of the {of}" if of in ("label", "prediction") else "Value Drift"


def dataset(case, split):
    frame = split.x.copy()
    texts = [name for name in frame if frame[name].dtype == object]
    numbers = [name for name in frame if name not in texts]
    frame["label"] = split.labels
    if case.is_regression:
        frame["prediction"] = split.predictions
        numbers += ["label", "prediction"]
        definition = DataDefinition(
            numerical_columns=numbers,
            categorical_columns=texts,
            regression=[Regression(target="label", prediction="prediction")],
        )
        return Dataset.from_pandas(frame, definition)
    frame["prediction"] = [case.classes[i] for i in split.predictions.argmax(axis=1)]
    kind = MulticlassClassification if len(case.classes) > 2 else BinaryClassification
    labels = {} if kind is MulticlassClassification else {"pos_label": case.classes[1]}
    definition = DataDefinition(
        numerical_columns=numbers,
        categorical_columns=[*texts, "label", "prediction"],
        classification=[kind(target="label", prediction_labels="prediction", **labels)],
    )
    return Dataset.from_pandas(frame, definition)


reading.run(alarms)
