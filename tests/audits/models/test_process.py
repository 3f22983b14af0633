"""Models run in a child, and whatever happens to the child, we hear of it in a sentence."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audits.artefacts import ModelDescription
from audits.models import frames, preload, process, runtime
from audits.models.process import ModelProcess, start_model
from audits.sources import describe_model
from audits.sources.graph.foreign_ops import require_known_ops
from schemas.problem import EvaluatorError, ModelError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

ONES = np.ones((5, 3))


def described(folder: Path, **options) -> ModelDescription:
    """Models that end their process are refused before they run, unless the operator trusts them."""
    return describe_model(folder, allowed_ops=frozenset({"Abort"}), **options)


@pytest.fixture
def started(saved_models: Path):
    """Starts models by name and ends them after the test."""
    running: list[ModelProcess] = []

    def start(name: str, *, tags: tuple[str, ...] | None = None, **options) -> ModelProcess:
        running.append(start_model(described(saved_models / name, tags=tags), **options))
        return running[-1]

    yield start
    for model in running:
        model.close()


def test_importing_touches_no_device() -> None:
    context = sys.modules["tensorflow.python.eager.context"].context_safe()

    assert context is None or not context._initialized
    assert preload.can_fork()


def test_predicts_by_name(started) -> None:
    outputs = started("module").predict({"x": np.array([[0.0, 0, 0], [1, 1, 1]])})

    assert outputs.keys() == {"p"}
    assert outputs["p"].dtype == np.float64
    assert outputs["p"] == pytest.approx([0.5, 1 / (1 + np.exp(-3))])


def test_says_where_and_by_what_it_runs(started) -> None:
    model = started("sum", device="cpu")

    assert model.device == "cpu"
    assert model.tensorflow_version.startswith("2.")


def test_a_relative_path_is_one_of_ours(saved_models: Path, monkeypatch) -> None:
    """The process works in a folder of its own."""
    monkeypatch.chdir(saved_models)
    with start_model(described(Path("sum"))) as model:
        assert model.predict({"x": ONES})["sum"].tolist() == [3.0] * 5


def test_many_children_run_from_one_process(started) -> None:
    """A fork server that touched a device would hang in the first."""
    models = [started("sum") for _ in range(5)]

    assert len({model._conversation.child.pid for model in models}) == 5
    for model in models:
        assert model.predict({"x": ONES})["sum"].tolist() == [3.0] * 5
    assert preload.can_fork()


def test_many_rows_are_cut_into_batches_and_frames(started, monkeypatch) -> None:
    monkeypatch.setattr(process, "FRAME_BYTES", 30_000)
    x = np.arange(30_000, dtype=np.float32).reshape(10_000, 3)
    model, sent = started("sum"), []
    line = model._conversation
    monkeypatch.setattr(line, "ask", lambda frame, ask=line.ask: sent.append(frame) or ask(frame))

    assert model.predict({"x": x})["sum"] == pytest.approx(x.sum(axis=1))
    assert [len(frame.arrays["x"]) for frame in sent] == [2_500] * 4


def test_no_rows_give_no_answers(started) -> None:
    assert started("sum").predict({"x": np.empty((0, 3))})["sum"].shape == (0,)


@pytest.mark.parametrize("rows", [1, 4, 6])
def test_a_fixed_batch_size_is_filled_up_and_trimmed(started, rows: int) -> None:
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)

    assert started("fixed_batch").predict({"x": x})["sum"] == pytest.approx(x.sum(axis=1))


@pytest.mark.parametrize("name", ["carries_state", "carries_state_of_four"])
def test_rows_do_not_change_the_answers_to_others_by_a_state(started, name: str) -> None:
    """Also where the state alone says how many rows a call takes."""
    rows = np.random.default_rng(0).normal(size=(11, 3))
    model = started(f"every_kind/{name}")
    whole = model.predict({"x": rows})["p"]

    assert whole.shape == (11, 1)
    assert model.predict({"x": rows[::-1]})["p"][::-1] == pytest.approx(whole)
    assert model.predict({"x": rows[3:4]})["p"] == pytest.approx(whole[3:4])


def test_numbers_are_cast_to_the_inputs_type(started) -> None:
    big = 2**53 + 1

    assert started("counts").predict({"x": np.array([big, 2])})["twice"].tolist() == [2 * big, 4]


def test_half_precision_comes_back_as_float32(started) -> None:
    half = started("bytes").predict({"x": np.array([[1, 255]], dtype=np.float64)})["half"]

    assert half.dtype == np.float32
    assert half.tolist() == [[0.5, 127.5]]


def test_text_goes_in_and_comes_out(started) -> None:
    shout = started("text").predict({"x": np.array(["grün", "", "x" * 1000], dtype=object)})["shout"]

    assert shout.tolist() == ["GRÜN", "", "X" * 1000]


def test_named_inputs_of_several_types(started) -> None:
    inputs = {"city": np.array([["Rome"], ["Oslo"]], dtype=object), "age": np.array([[10.0], [20.0]])}

    assert started("named").predict(inputs)["output_0"] == pytest.approx(np.array([[3.0], [2.0]]))


def test_a_model_of_tensorflow_1(started) -> None:
    y = started("version_1", tags=("serve", "gpu")).predict({"x": np.array([[0.0, 0.0], [0.0, 100.0]])})["y"]

    assert y == pytest.approx(np.array([[0.5, 0.5], [0.0, 1.0]]))


@pytest.mark.parametrize(("name", "tags"), [("version_1", ("serve", "gpu")), ("module", ("serve",))])
def test_a_session_answers_as_the_function_does(saved_models: Path, started, name: str, tags: tuple[str, ...]) -> None:
    description = described(saved_models / name, tags=tags)
    x = {description.inputs[0].name: np.ones((2, 2 if name == "version_1" else 3))}
    with ModelProcess(description, "auto", None, as_session="we want it so") as in_session:
        answers = in_session.predict(x)

    for output, values in started(name, tags=tags).predict(x).items():
        assert answers[output] == pytest.approx(values)


def test_a_session_is_tried_where_the_loader_fails(saved_models: Path, monkeypatch) -> None:
    tried = []

    def fails_as_function(*_: object, as_session: str | None = None, **__: object) -> str:
        tried.append(as_session)
        if as_session is None:
            raise ModelError("model_load_failed", "no")
        return "in a session"

    monkeypatch.setattr(process, "ModelProcess", fails_as_function)

    assert start_model(described(saved_models / "sum")) == "in a session"
    assert tried == [None, "no"]


def test_a_graph_of_tensorflow_1_that_loads_and_does_not_run_is_run_in_a_session(started, monkeypatch) -> None:
    def loads_only(*_: object):
        def call(_: object) -> None:
            raise ValueError("Table not initialized.")

        return call

    monkeypatch.setattr(runtime, "_function", loads_only)
    model = started("version_1")
    y = model.predict({"x": np.array([[0.0, 0.0]])})["y"]

    assert y == pytest.approx(np.array([[0.5, 0.5]]))
    assert model.runs_as == "session"
    assert "Table not initialized" in model.reason
    with pytest.raises(ModelError, match="Table not initialized"):
        started("sum").predict({"x": ONES})


def test_bytes_reach_the_model_as_they_are(started) -> None:
    """Serialized messages are no text."""
    raw = np.array([b"\xff\x00a", b""], dtype=object)

    assert started("lengths").predict({"x": raw})["bytes"].tolist() == [3, 0]


def test_an_op_that_is_not_registered_is_named_before_the_model_is_loaded(saved_models: Path) -> None:
    description = replace(described(saved_models / "sum"), ops={"MatMul": "a", "NoSuchOp": "b"})
    with pytest.raises(ModelError) as caught:
        start_model(description)

    assert (caught.value.code, caught.value.op) == ("op_unsupported", "NoSuchOp")


def test_no_op_of_stock_tensorflow_is_taken_for_a_foreign_one() -> None:
    ops = [name for name in dir(preload.import_tensorflow().raw_ops) if not name.startswith("_")]

    assert len(ops) > 1000
    require_known_ops(dict.fromkeys(ops, "node"), frozenset())


def test_a_refusal_says_why_and_the_model_lives_on(started) -> None:
    model = started("refusing")
    with pytest.raises(ModelError) as caught:
        model.predict({"x": np.full((1, 3), 1000.0)})

    assert caught.value.code == "model_refused_input"
    assert "/etc/secret" not in caught.value.detail
    assert len(caught.value.detail) < 400
    assert model.predict({"x": ONES})["x"].tolist() == ONES.tolist()


def test_inputs_of_the_wrong_shape_are_refused(started) -> None:
    with pytest.raises(ModelError, match="cannot run on these data") as caught:
        started("module").predict({"x": np.ones((2, 9))})

    assert caught.value.code == "model_refused_input"


@pytest.mark.parametrize(("name", "code"), [("one_number", "output_rows_mismatch"), ("complex", "output_not_numeric")])
def test_outputs_that_cannot_be_judged(started, name: str, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        started(name).predict({"x": ONES})

    assert caught.value.code == code


def test_outputs_that_cannot_be_judged_do_not_stop_the_others(started) -> None:
    assert list(started("sum_and_mean").predict({"x": ONES})) == ["sum"]


def test_answers_beyond_the_limit(started, monkeypatch) -> None:
    monkeypatch.setattr(frames, "MAX_ARRAY_BYTES", 100)
    model = started("no_outputs_named")

    assert len(model.predict({"x": ONES.astype(np.float16)})["output_0"]) == 5
    with pytest.raises(ModelError) as caught:
        model._conversation.ask(process.Frame({}, {"x": np.ones((9, 3), np.float16)}))
    assert caught.value.code == "output_too_large"


def test_a_native_crash_names_the_signal(started) -> None:
    model = started("aborting")
    with pytest.raises(EvaluatorError, match="SIGABRT") as caught:
        model.predict({"x": ONES})

    assert caught.value.code == "model_crashed"
    assert not Path(f"/proc/{model._conversation.child.pid}").exists()


def test_leaving_with_success_is_no_answer(started) -> None:
    with pytest.raises(EvaluatorError, match="exit code 0") as caught:
        started("leaving").predict({"x": ONES})

    assert caught.value.code == "model_crashed"


def test_a_killed_model_may_have_run_out_of_memory(started) -> None:
    model = started("sum")
    os.kill(model._conversation.child.pid, signal.SIGKILL)

    with pytest.raises(EvaluatorError, match="memory"):
        model.predict({"x": ONES})


def test_an_endless_model_is_stopped(started) -> None:
    model = started("endless", timeout_seconds=30)
    model._conversation.timeout_seconds = 0.5
    with pytest.raises(EvaluatorError) as caught:
        model.predict({"x": ONES})

    assert caught.value.code == "model_timeout"
    assert not Path(f"/proc/{model._conversation.child.pid}").exists()


def test_an_answer_that_is_no_frame_ends_the_model(started, monkeypatch) -> None:
    model = started("sum")
    monkeypatch.setattr(frames, "receive", raises_frame_error)
    with pytest.raises(EvaluatorError) as caught:
        model.predict({"x": ONES})

    assert caught.value.code == "model_crashed"
    assert not Path(f"/proc/{model._conversation.child.pid}").exists()


def raises_frame_error(*_: object) -> None:
    raise frames.FrameError("nonsense")


def test_a_gpu_that_is_not_there(started) -> None:
    with pytest.raises(ModelError) as caught:
        started("sum", device="gpu")

    assert caught.value.code == "device_unavailable"
    assert caught.value.field == "resources.device"


def test_weights_that_cannot_be_restored(saved_models: Path, tmp_path: Path) -> None:
    copy = tmp_path / "broken"
    subprocess.run(["cp", "-r", saved_models / "module", copy], check=True)
    index = copy / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:40])

    with pytest.raises(ModelError) as caught:
        start_model(described(copy))

    assert caught.value.code == "model_load_failed"
    assert str(tmp_path) not in caught.value.detail


@pytest.mark.parametrize(("held", "code"), [(0.9, "model_out_of_memory"), (0.1, "model_crashed")])
def test_who_aborts_while_holding_much_ran_out_of_memory(started, monkeypatch, held: float, code: str) -> None:
    """TensorFlow aborts where the kernel refuses it memory; the watcher may have looked a moment too early."""
    model = started("sum")
    os.kill(model.pid, signal.SIGABRT)
    child, limit = model._conversation.child, 2**40
    monkeypatch.setattr(model._conversation, "_memory_bytes", limit)
    child.wait(10)
    assert 2**20 < child.peak_bytes < limit
    monkeypatch.setattr(child, "peak_bytes", held * limit)

    with pytest.raises(EvaluatorError) as caught:
        model.predict({"x": ONES})
    assert caught.value.code == code


def test_what_it_took_is_told_in_numbers_alone(started, monkeypatch) -> None:
    model = started("sum", device="cpu")
    assert model.usage() == {"device_memory_bytes": None, "rows_a_call": None}

    # what the process says may be the model's doing
    told = {"usage": {"device_memory_bytes": "<script>", "rows_a_call": 7, "more": 1}}
    monkeypatch.setattr(model._conversation, "ask", lambda _: frames.Frame(told))
    assert model.usage() == {"device_memory_bytes": None, "rows_a_call": 7}
    monkeypatch.undo()

    os.kill(model.pid, signal.SIGKILL)
    assert model.usage() == {}


def test_closing_ends_the_process(saved_models: Path) -> None:
    with start_model(described(saved_models / "sum")) as model:
        pid = model._conversation.child.pid
        assert Path(f"/proc/{pid}").exists()

    assert not Path(f"/proc/{pid}").exists()
    model.close()


def test_the_child_is_in_our_process_group(started) -> None:
    """So that whoever kills the evaluator's group kills the model with it."""
    assert os.getpgid(started("sum")._conversation.child.pid) == os.getpgrp()


def test_the_child_holds_no_file_of_ours(started, tmp_path: Path) -> None:
    secret = tmp_path / "labels"
    secret.write_text("1")
    with secret.open() as _:
        model = started("sum")
    opened = Path(f"/proc/{model._conversation.child.pid}/fd")
    targets = [str(entry.readlink()) for entry in opened.iterdir() if entry.exists()]

    assert not [target for target in targets if target == str(secret)]
    assert len([target for target in targets if target.startswith("socket:")]) == 1


def test_the_child_gains_no_privilege_and_dies_first_when_memory_runs_out(started) -> None:
    pid = started("sum")._conversation.child.pid

    assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "1000"


def test_the_child_dies_with_its_parent(saved_models: Path) -> None:
    """Even if the parent had no time to say so."""
    parent, child = multiprocessing.get_context("fork").Pipe()
    evaluator = os.fork()
    if evaluator == 0:
        model = start_model(described(saved_models / "endless"))
        child.send(model._conversation.child.pid)
        frames.send(model._conversation.connection, process.Frame({}, {"x": ONES}))  # busy for ever
        time.sleep(60)
        os._exit(0)
    assert parent.poll(60)
    pid = parent.recv()
    os.kill(evaluator, signal.SIGKILL)
    os.waitpid(evaluator, 0)

    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Dead children of dead parents stay as zombies where nobody reaps them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_fresh_interpreter_runs_the_model_where_forking_is_unsafe(started, monkeypatch) -> None:
    monkeypatch.setattr(preload, "can_fork", lambda: False)

    model = started("sum")

    assert "run_spawned" in Path(f"/proc/{model._conversation.child.pid}/cmdline").read_text()
    assert model.predict({"x": ONES})["sum"].tolist() == [3.0] * 5


def test_a_process_that_used_tensorflow_cannot_be_forked() -> None:
    code = (
        "from audits.models.preload import can_fork, import_tensorflow\n"
        "assert can_fork()\n"
        "tf = import_tensorflow()\n"
        "assert can_fork()\n"
        "tf.constant(1)\n"
        "assert not can_fork()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")


class TestVariables:
    KEY = "weights/.ATTRIBUTES/VARIABLE_VALUE"

    def test_values_of_the_checkpoint_come_by_key(self, started) -> None:
        values = started("module").variables([self.KEY, "no/such/key"])

        assert values.keys() == {self.KEY}
        assert values[self.KEY].tolist() == [[1.0], [1.0], [1.0]]

    def test_the_model_still_answers_afterwards(self, started) -> None:
        model = started("module")
        model.variables([self.KEY])

        assert model.predict({"x": ONES[:, :3]})["p"].shape == (5,)

    def test_nothing_is_asked_where_nothing_is_wanted(self, started) -> None:
        assert started("module").variables([]) == {}

    def test_a_model_without_variables_has_no_values(self, started) -> None:
        assert started("sum").variables([self.KEY]) == {}

    def test_no_more_is_sent_than_is_allowed(self, saved_models: Path) -> None:
        job = runtime.Job(str(saved_models / "module"), "score", ("serve",), (), (), {}, "cpu", None, as_session=False)
        model = object.__new__(runtime.LoadedModel)
        model._job, model._tf = job, preload.import_tensorflow()
        limit = runtime.MAX_VARIABLE_BYTES

        assert model.variables([self.KEY])
        try:
            runtime.MAX_VARIABLE_BYTES = 8
            assert model.variables([self.KEY]) == {}
        finally:
            runtime.MAX_VARIABLE_BYTES = limit

    def test_a_damaged_checkpoint_is_a_problem_of_its_own(self, started, saved_models: Path, tmp_path: Path) -> None:
        folder = tmp_path / "module"
        shutil.copytree(saved_models / "module", folder)
        with start_model(described(folder)) as model:
            (folder / "variables" / "variables.index").write_bytes(b"nonsense")
            with pytest.raises(ModelError) as caught:
                model.variables([self.KEY])
            assert caught.value.code == "variables_unreadable"
            assert model.predict({"x": ONES[:, :3]})["p"].shape == (5,)
