"""One model, trained on complete rows, and three ways to treat the holes in its table.

Ten of the fifteen measurements come from a second reading that is skipped for a third of the samples, the
more often the larger the cells: missing at random given the mean radius, which is always there.
"""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from examples.making import binary_network, export, read_table, scores, seed_everything, write_table

HERE = Path(__file__).parent
LABEL = "benign"
FIRST_READING = ["mean_radius", "mean_texture", "mean_smoothness", "mean_concavity", "mean_symmetry"]
SKIPPED_SHARE = 0.3
VALIDATION_SHARE = 0.4
EPOCHS = 40


def measurements() -> tuple[pd.DataFrame, pd.Series]:
    """(569, 15) measurements of both readings, complete, and whether each sample was benign."""
    data = load_breast_cancer(as_frame=True)
    table = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    return table[FIRST_READING + second_reading(table)], data.target


def second_reading(table: pd.DataFrame) -> list[str]:
    return [str(column) for column in table.columns if str(column).startswith("worst_")]


def punch_holes(table: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Skip second readings, with probability 0 for the smallest cells, 2 * SKIPPED_SHARE for the largest."""
    probability = 2 * SKIPPED_SHARE * table["mean_radius"].rank(pct=True)
    skipped = generator.random(len(table)) < probability
    holed = table.copy()
    holed.loc[skipped, second_reading(table)] = np.nan
    return holed


def write_variants(train: pd.Index, validation: pd.Index, holed: pd.DataFrame, benign: pd.Series) -> None:
    """The files of each way to treat the holes; `train` and `validation` are row names."""

    def write(path: str, table: pd.DataFrame, rows: pd.Index) -> None:
        chosen = table.loc[table.index.intersection(rows)]
        write_table(HERE / path, chosen, benign[chosen.index], label=LABEL)

    complete = holed.dropna()
    imputed = holed.fillna(holed.mean())  # on all rows, before the split: the fault is the point
    write("train.csv", complete, train)
    write("left_in/validation.csv", holed, validation)
    write("rows_dropped/train.csv", holed, train)
    write("rows_dropped/validation.csv", complete, validation)
    write("mean_imputed/train.csv", imputed, train)
    write("mean_imputed/validation.csv", imputed, validation)


def standardising_network(features: np.ndarray) -> keras.Model:
    """The network standardises its own inputs, so that the files keep their units."""
    network = binary_network(features.shape[1], [16, 8])
    standardise = keras.layers.Normalization()
    standardise.adapt(features)
    model = keras.Sequential([keras.layers.Input((features.shape[1],), name="features"), standardise, network])
    model.compile(keras.optimizers.Adam(), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    generator = seed_everything(3)
    table, benign = measurements()
    holed = punch_holes(table, generator)
    train, validation = train_test_split(table.index, test_size=VALIDATION_SHARE, stratify=benign, random_state=3)
    write_variants(train, validation, holed, benign)

    features, labels = read_table(HERE / "train.csv", label=LABEL)
    model = standardising_network(features)
    model.fit(features, labels, epochs=EPOCHS, verbose=0)
    export(model, HERE / "model")
    print(f"missing_values: training {scores(model, features, labels)}")
    for variant in ("rows_dropped", "mean_imputed"):
        held_out = read_table(HERE / variant / "validation.csv", label=LABEL)
        print(f"missing_values: {variant} validation {scores(model, *held_out)}")


if __name__ == "__main__":
    main()
