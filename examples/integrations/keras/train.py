"""Trains a small network and has it audited: `python train.py FOLDER`; `fitcheck serve --data-root FOLDER` must run."""

import logging
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import fitcheck.keras
from fitcheck import Client

logging.basicConfig(level=logging.INFO)
folder = Path(sys.argv[1])
rng = np.random.default_rng(7)
table = pd.DataFrame(rng.normal(size=(600, 4)), columns=["age", "income", "visits", "tenure"])
table["churned"] = (table["visits"] - table["tenure"] + rng.normal(0, 0.5, 600) > 0).astype(int)
train, validation = table[:400], table[400:]
train.to_csv(folder / "train.csv", index=False)
validation.to_csv(folder / "validation.csv", index=False)

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
audit = fitcheck.keras.Audit(
    Client(),
    train=folder / "train.csv",
    validation=folder / "validation.csv",
    label="churned",
    export_to=folder / "run",
)
model.fit(
    train.drop(columns="churned").to_numpy("float32"),
    train["churned"].to_numpy("float32"),
    validation_data=(
        validation.drop(columns="churned").to_numpy("float32"),
        validation["churned"].to_numpy("float32"),
    ),
    epochs=30,
    verbose=0,
    callbacks=[audit],
)
if audit.audit is None:
    sys.exit(f"not submitted: {audit.error}")
report = audit.audit.wait(progress=True, timeout=600)
print(report.verdict, report.summary)
report.raise_for_gate("critical")
