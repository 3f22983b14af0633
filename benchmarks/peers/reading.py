"""What every adapter needs; runs in the tools' environments, so it uses nothing of ours."""

import json
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")


@dataclass
class Split:
    frame: pd.DataFrame
    features: list
    labels: pd.Series
    predictions: np.ndarray

    @property
    def x(self):
        return self.frame[self.features]


@dataclass
class Case:
    task: str
    classes: list
    roles: dict
    images: bool
    train: Split
    validation: Split

    @property
    def is_regression(self):
        return self.task == "regression"


class NotServedError(Exception):
    """The tool has nothing for such a case."""


def read(folder):
    about = json.loads((folder / "case.json").read_text())
    predictions = np.load(folder / "predictions.npz")
    splits = []
    for name in ("train", "validation"):
        frame = pd.read_parquet(folder / f"{name}.parquet")
        features = [column for column in frame if column != "label" and column not in about["roles"].values()]
        splits.append(Split(frame, features, frame["label"], predictions[name]))
    return Case(about["task"], about["classes"], about["roles"], about["images"], *splits)


def run(alarms):
    """Call `alarms(case)` -> names of checks that raised one, for each case folder; write JSON."""
    cases, output = Path(sys.argv[1]), Path(sys.argv[2])
    wanted = set(sys.argv[3:])
    results = {}
    for folder in sorted(path.parent for path in cases.glob("*/case.json")):
        if wanted and folder.name not in wanted:
            continue
        case = read(folder)
        begun = time.monotonic()
        entry = {"alarms": [], "error": None, "served": True}
        try:
            entry["alarms"] = sorted(set(alarms(case)))
        except NotServedError as why:
            entry.update(served=False, error=str(why))
        except Exception as error:
            traceback.print_exc(limit=3)
            entry["error"] = f"{type(error).__name__}: {error}"[:300]
        entry["seconds"] = time.monotonic() - begun
        results[folder.name] = entry
        output.write_text(json.dumps(results, indent=1))
        print(folder.name, entry, file=sys.stderr, flush=True)
