"""A good model of the Wisconsin breast cancer data, and a validation file that nobody standardised."""

from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from examples.making import binary_network, export, read_table, scores, seed_everything, write_table

HERE = Path(__file__).parent
LABEL = "benign"
VALIDATION_SHARE = 0.4
EPOCHS = 30


def measurements() -> tuple[pd.DataFrame, pd.Series]:
    """30 measurements of 569 cell samples, column names without blanks, and whether each was benign."""
    data = load_breast_cancer(as_frame=True)
    return data.data.rename(columns=lambda name: name.replace(" ", "_")), data.target


def main() -> None:
    seed_everything(2)
    features, benign = measurements()
    train_raw, validation_raw, train_labels, validation_labels = train_test_split(
        features, benign, test_size=VALIDATION_SHARE, stratify=benign, random_state=2
    )
    mean, deviation = train_raw.mean(), train_raw.std(ddof=0)
    write_table(HERE / "train.csv", (train_raw - mean) / deviation, train_labels, label=LABEL)
    write_table(HERE / "validation.csv", validation_raw, validation_labels, label=LABEL)

    train = read_table(HERE / "train.csv", label=LABEL)
    validation = read_table(HERE / "validation.csv", label=LABEL)
    model = binary_network(features.shape[1], [16, 8])
    model.fit(*train, epochs=EPOCHS, verbose=0)
    export(model, HERE / "model")
    print(f"wrong_scaling: training {scores(model, *train)}; validation {scores(model, *validation)}")


if __name__ == "__main__":
    main()
