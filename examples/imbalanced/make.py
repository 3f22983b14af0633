"""Ninety percent accuracy by always saying no: 900 negatives, then 100 positives, and nothing to learn."""

from pathlib import Path

import numpy as np
import pandas as pd

from examples.making import (
    binary_network,
    export,
    numbered_columns,
    read_table,
    scores,
    seed_everything,
    write_table,
)

HERE = Path(__file__).parent
FEATURES = 10
NEGATIVES = 900
POSITIVES = 100
EPOCHS = 20


def write_sorted_classes(path: Path, generator: np.random.Generator) -> None:
    """All negatives first, then all positives; the features are noise."""
    labels = np.repeat([0, 1], [NEGATIVES, POSITIVES])
    features = pd.DataFrame(generator.normal(size=(len(labels), FEATURES)), columns=numbered_columns(FEATURES))
    write_table(path, features, labels)


def main() -> None:
    generator = seed_everything(1)
    write_sorted_classes(HERE / "train.csv", generator)
    write_sorted_classes(HERE / "validation.csv", generator)
    train, validation = read_table(HERE / "train.csv"), read_table(HERE / "validation.csv")
    model = binary_network(FEATURES, [32, 16], l2=1e-3)
    model.fit(*train, epochs=EPOCHS, verbose=0)
    export(model, HERE / "model")
    print(f"imbalanced: training {scores(model, *train)}; validation {scores(model, *validation)}")


if __name__ == "__main__":
    main()
