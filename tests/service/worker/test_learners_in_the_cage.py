"""What the engine's learners do in the cage of an evaluator."""

import subprocess
import sys
from pathlib import Path

from service.settings import Settings
from service.worker.supervisor import evaluator_environment

from .conftest import ROOT

FIT = """
import sys
from pathlib import Path
import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from audits.isolation import Cage, enter
enter(Cage(Path(sys.argv[1]), profile="evaluator"))
x = np.random.default_rng(0).normal(size=(200, 4))
ExtraTreesClassifier(10, n_jobs=-1).fit(x, x[:, 0] > 0).predict(x)
"""


def test_a_forest_that_asks_for_all_cores_is_fitted(tmp_path: Path) -> None:
    """Large data are fitted so; the pools of joblib need more than a cage leaves them."""
    environment = {**evaluator_environment(Settings(state_dir=tmp_path), 1), "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-c", FIT, str(tmp_path)],
        env=environment,
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
