"""What the imputations bring back, compared, and the code of the one that served best."""

from collections.abc import Mapping

from pydantic import JsonValue

from audits.evidence.case import Case, Subject
from audits.repairs.imputation import Method
from audits.repairs.protocol import gain_of
from audits.repairs.snippets import constant
from schemas.report import Remedy

# A method must beat the median by this to be worth the trouble.
WORTH_THE_TROUBLE = 0.01


def compare_imputations(case: Case, subject: Subject, compared: dict[Method, Subject]) -> JsonValue:
    """What each imputation brings back, on the same rows."""
    result: dict[str, JsonValue] = {
        "metric": case.scorer.metric,
        "before": case.score(subject),
        "n": len(subject),
    }
    for method, after in compared.items():
        gain = gain_of(case, subject, after, "imputation " + method)
        result[method] = {
            "after": case.score(after),
            "gain": gain.estimate,
            "gain_interval": list(gain.interval) if gain.interval else None,
        }
    return result


def best_method(case: Case, compared: Mapping[Method, Subject]) -> Method:
    """The method after which the metric is highest; the median, unless another is better by more than noise."""
    scores = {method: case.score(after) for method, after in compared.items()}
    best = max(scores, key=lambda method: scores[method])
    return best if scores[best] > scores["median"] + WORTH_THE_TROUBLE else "median"


def imputation_remedy(case: Case, names: list[str], best: Method | None = None) -> Remedy:
    """Code that imputes, fitted on the training data alone.

    Args:
        case: whose layout the code is written for.
        names: of the columns to fill.
        best: the method that was compared with the others and brought back most; None where none was compared.
    """
    method = best or "median"
    served = "" if best is None else ", which served best here"
    text = (
        "Fit an imputer on the training data alone, after the split, and apply it to whatever the model sees. "
        f"The code below imputes by {method}{served}; where it matters which values are missing, add the indicator and "
        "train again."
    )
    strategy = "most_frequent" if method == "mode" else method
    if case.space.layout != "table":
        neighbours = method == "k nearest neighbours"
        return Remedy(
            text=text, code=_NEIGHBOURS_ARRAY_CODE if neighbours else _ARRAY_CODE.replace("<strategy>", strategy)
        )
    if method == "k nearest neighbours":
        # neighbours are found by all numbers, with and without missing values
        listed = constant("NUMBERS", list(case.space.units)) + constant("TEXTS", list(case.space.texts))
        return Remedy(text=text, code=_NEIGHBOURS_CODE.replace("<columns>", listed))
    listed = constant("COLUMNS", names)
    return Remedy(text=text, code=_SIMPLE_CODE.replace("<columns>", listed).replace("<strategy>", strategy))


_ARRAY_CODE = """\
import numpy as np
from sklearn.impute import SimpleImputer

def impute(x_train: np.ndarray, x: np.ndarray) -> np.ndarray:
    imputer = SimpleImputer(strategy='<strategy>').fit(x_train.reshape(len(x_train), -1))
    return imputer.transform(x.reshape(len(x), -1)).reshape(x.shape)
"""

_NEIGHBOURS_ARRAY_CODE = """\
import numpy as np
from sklearn.impute import KNNImputer
from sklearn.preprocessing import StandardScaler

def impute(x_train: np.ndarray, x: np.ndarray) -> np.ndarray:
    flat, train = x.reshape(len(x), -1), x_train.reshape(len(x_train), -1)
    scaler = StandardScaler().fit(train)
    imputer = KNNImputer(n_neighbors=5).fit(scaler.transform(train))
    return scaler.inverse_transform(imputer.transform(scaler.transform(flat))).reshape(x.shape)
"""

_SIMPLE_CODE = """\
import pandas as pd
from sklearn.impute import SimpleImputer

<columns>def impute(train: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    numeric = [c for c in COLUMNS if pd.api.types.is_numeric_dtype(train[c])]
    texts = [c for c in COLUMNS if c not in numeric]
    frame = frame.copy()
    if numeric:
        imputer = SimpleImputer(strategy='<strategy>').fit(train[numeric])
        frame[numeric] = imputer.transform(frame[numeric])
    for column in texts:
        frame[column] = frame[column].fillna(train[column].mode()[0])
    return frame

# for training anew, where it matters which values are missing
def with_indicators(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{f'{c}_missing': frame[c].isna().astype('float32') for c in COLUMNS})
"""

_NEIGHBOURS_CODE = """\
import pandas as pd
from sklearn.impute import KNNImputer
from sklearn.preprocessing import StandardScaler

<columns>def impute(train: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    scaler = StandardScaler().fit(train[NUMBERS])
    imputer = KNNImputer(n_neighbors=5).fit(scaler.transform(train[NUMBERS]))
    filled = scaler.inverse_transform(imputer.transform(scaler.transform(frame[NUMBERS])))
    frame = frame.assign(**dict(zip(NUMBERS, filled.T, strict=True)))
    for column in TEXTS:
        frame[column] = frame[column].fillna(train[column].mode()[0])
    return frame
"""
