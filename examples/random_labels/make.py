"""A network of 0.7 million weights learns 100 coin tosses by heart."""

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
    write_history,
    write_table,
)

HERE = Path(__file__).parent
FEATURES = 20
TRAINING_ROWS = 100
VALIDATION_ROWS = 200
EPOCHS = 100


def write_coin_tosses(path: Path, rows: int, generator: np.random.Generator) -> None:
    """Features and labels that know nothing of each other; the labels are rounded random numbers."""
    features = pd.DataFrame(generator.random((rows, FEATURES)), columns=numbered_columns(FEATURES))
    write_table(path, features, generator.random(rows).round().astype(int))


def main() -> None:
    generator = seed_everything(0)
    write_coin_tosses(HERE / "train.csv", TRAINING_ROWS, generator)
    write_coin_tosses(HERE / "validation.csv", VALIDATION_ROWS, generator)
    train, validation = read_table(HERE / "train.csv"), read_table(HERE / "validation.csv")
    model = binary_network(FEATURES, [1024, 512, 256])
    history = model.fit(*train, validation_data=validation, epochs=EPOCHS, verbose=0)
    write_history(HERE / "history.json", history.history)
    export(model, HERE / "model")
    print(f"random_labels: training {scores(model, *train)}; validation {scores(model, *validation)}")


if __name__ == "__main__":
    main()
