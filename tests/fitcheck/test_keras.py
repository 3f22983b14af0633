"""The callback, in a real training, in a process of its own: one that has used TensorFlow cannot be forked any more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.tensorflow

TRAINING = """
import json, sys
import httpx, keras, numpy as np
import fitcheck.keras
from fitcheck import Client, Patience
from service.api.app import create_app
from service.settings import Settings
from tests.service.asgi import AsgiTransport
from tests.service.fakes import FakeJobs

folder = sys.argv[1]
jobs = FakeJobs()
app = create_app(Settings(data_roots=(folder,)), jobs)
client = Client("http://fitcheck.test", transport=AsgiTransport(app))
rng = np.random.default_rng(1)
x = rng.normal(size=(200, 3)).astype("float32")
y = (x[:, 0] > 0).astype("float32")
for name, rows in (("train", slice(0, 150)), ("validation", slice(150, 200))):
    table = np.column_stack([x[rows], y[rows]])
    np.savetxt(f"{folder}/{name}.csv", table, delimiter=",", header="a,b,c,y", comments="")

model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
model.compile(keras.optimizers.Adam(schedule), "binary_crossentropy", metrics=["accuracy"])
data = {"train": f"{folder}/train.csv", "validation": f"{folder}/validation.csv", "label": "y"}
audit = fitcheck.keras.Audit(client, export_to=f"{folder}/run", tags={"run": "7"}, **data)
validation = {"validation_data": (x[150:], y[150:]), "validation_freq": 2}
model.fit(x[:150], y[:150], **validation, epochs=4, verbose=0, callbacks=[audit])

nobody = httpx.MockTransport(lambda _: httpx.Response(503))
away = Client("http://fitcheck.test", transport=nobody, patience=Patience(0, 0))
lost = fitcheck.keras.Audit(away, export_to=f"{folder}/lost", **data)
fitted = model.fit(x, y, epochs=1, verbose=0, callbacks=[lost])
request = jobs.requests[audit.audit.id]
print(json.dumps({"request": request.model_dump(mode="json"), "lost": lost.error.code, "epochs": len(fitted.epoch)}))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("training")
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, folder],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout.splitlines()[-1])


def test_the_exported_model_is_submitted_with_its_data(trained):
    folder, told = trained

    assert (folder / "run" / "model" / "saved_model.pb").is_file()
    assert told["request"]["model"]["uri"] == str(folder / "run" / "model")
    assert told["request"]["data"]["label"] == "y"
    assert told["request"]["tags"] == {"run": "7"}


def test_the_history_is_kept_epoch_by_epoch(trained):
    folder, told = trained
    history = json.loads((folder / "run" / "history.json").read_text())

    assert told["request"]["history"]["uri"] == str(folder / "run" / "history.json")
    assert {len(values) for values in history.values()} == {4}
    assert history["val_loss"][0] is None
    assert history["val_loss"][1] > 0


def test_the_learning_rate_of_a_schedule_is_recorded(trained):
    rates = json.loads((trained[0] / "run" / "history.json").read_text())["learning_rate"]

    assert rates == pytest.approx([0.05, 0.025, 0.0125, 0.00625], rel=1e-4)


def test_a_service_that_is_away_costs_no_training(trained):
    folder, told = trained

    assert told["epochs"] == 1
    assert told["lost"] in {"service_unreachable", "unexpected_answer"}
    assert (folder / "lost" / "model" / "saved_model.pb").is_file()
