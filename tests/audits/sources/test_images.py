"""Images in one folder a class: read as Keras reads them, and never more than they claim to be."""

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audits.artefacts import ModelDescription, Split, TensorSpec
from audits.sources import open_splits
from audits.sources.images import image_file, image_folder
from audits.sources.locations import Roots
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything

Open = Callable[..., tuple[Split, Split]]
ROOT = Path(__file__).parents[3]


def taking(*row: int | None) -> ModelDescription:
    spec = TensorSpec("image", "float32", (None, *row))
    return ModelDescription("m", "serve", ("serve",), ("serve",), (spec,), (spec,), "2.20.0")


def picture(path: Path, colour: object = 128, mode: str = "RGB", size: tuple[int, int] = (4, 3), **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (colour,) * 3 if mode == "RGB" and isinstance(colour, int) else colour).save(path, **options)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two splits of three images in each of the classes cat and dog; grey levels tell them apart."""
    for split in ("train", "validation"):
        for place, name in enumerate(("cat", "dog")):
            for i in range(3):
                picture(tmp_path / split / name / f"{i}.png", 10 * place + i)
    return tmp_path


def problem_of(opened: Open, *names: str, model: ModelDescription | None = None, **data):
    def open_and_read() -> None:
        for split in opened(*(names or ("train", "validation")), options={"model": model}, **data):
            everything(split)

    with pytest.raises(ProblemError) as caught:
        open_and_read()
    return caught.value


def levels(split: Split) -> dict[str, list[float]]:
    """Class -> the first pixel's values, sorted."""
    found: dict[str, list[float]] = {}
    for batch in everything(split, 4):
        for image, label in zip(batch.features, batch.labels, strict=True):
            found.setdefault(label, []).append(float(image.flat[0]))
    return {label: sorted(values) for label, values in found.items()}


def test_labels_are_the_names_of_the_folders(folders: Path, opened: Open):
    train, validation = opened("train", "validation")

    for split in (train, validation):
        assert levels(split) == {"cat": [0, 1, 2], "dog": [10, 11, 12]}
    assert (train.layout, train.row_shape) == ("array", (3, 4, 3))
    assert train.describe()["classes"] == {"cat": 3, "dog": 3}
    assert {batch.features.dtype for batch in everything(train)} == {np.dtype("float32")}


def test_a_folder_is_a_class_whatever_its_name_begins_with(folders: Path, opened: Open):
    """But for what a Mac leaves in archives."""
    picture(folders / "train" / "_neither" / "0.png", 20)
    (folders / "train" / "__MACOSX" / "cat").mkdir(parents=True)
    (folders / "train" / "__MACOSX" / "cat" / "._0.png").write_bytes(b"no image")

    assert levels(opened("train", "validation")[0]) == {"_neither": [20], "cat": [0, 1, 2], "dog": [10, 11, 12]}


@pytest.mark.parametrize("uri", ["train/*", ["train/cat", "train/dog"], "train/*/*.png", "train/**/*.png"])
def test_class_folders_or_files_may_be_named(uri: str | list[str], folders: Path, opened: Open):
    assert levels(opened(uri, "validation")[0]) == {"cat": [0, 1, 2], "dog": [10, 11, 12]}


def test_rows_do_not_come_class_by_class(tmp_path: Path, opened: Open):
    """Else the first `max_rows` would be of one class, and the order would carry the label."""
    for place, name in enumerate("ab"):
        for i in range(40):
            picture(tmp_path / "train" / name / f"{i:02d}.png", place)
    train, _ = opened("train", "train", options={"max_rows": 40})
    again, _ = opened("train", "train")

    labels = [label for batch in everything(train) for label in batch.labels]
    assert len(labels) == 40
    assert 10 < labels.count("a") < 30
    assert labels == [label for batch in everything(again) for label in batch.labels][:40]


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ((2, 2, 3), (2, 2, 3)),
        ((6, 8, 1), (6, 8, 1)),
        ((5, 5, 4), (5, 5, 4)),
        ((3, 7, 9), (3, 7, 9)),
        ((6, 6), (6, 6, 1)),
    ],
)
def test_size_and_channels_are_the_models(row, shape, folders: Path, opened: Open):
    train, _ = opened("train", "validation", options={"model": taking(*row)})

    assert train.row_shape == shape
    assert {batch.features.shape[1:] for batch in everything(train)} == {shape}


def test_images_of_the_models_size_are_not_touched(tmp_path: Path, opened: Open):
    values = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(values).save(tmp_path / name / "x.png")
    train, _ = opened(["a", "b"], ["a", "b"], options={"model": taking(3, 4, 3)})
    first, _ = opened(["a", "b"], ["a", "b"], options={"model": taking(3, 3, 4)})

    np.testing.assert_array_equal(everything(train)[0].features[0], values)
    assert first.row_shape == (3, 3, 4)  # channels last, resized: four channels are more usual than three rows


def test_channels_first_are_the_same_values(tmp_path: Path, opened: Open):
    values = np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(values).save(tmp_path / name / "x.png")
    train, _ = opened(["a", "b"], ["a", "b"], options={"model": taking(3, 9, 8)})

    np.testing.assert_array_equal(everything(train)[0].features[0], np.moveaxis(values, -1, 0))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".gif", ".webp"])
def test_formats(suffix: str, tmp_path: Path, opened: Open):
    for name in ("a", "b"):
        picture(tmp_path / name / f"x{suffix}", 200, size=(16, 16))
    train, _ = opened(["a", "b"], ["a", "b"])

    np.testing.assert_allclose(everything(train)[0].features, 200, atol=2)


@pytest.mark.parametrize(
    ("mode", "colour", "read"),
    [("L", 90, 90), ("1", 1, 255), ("P", 0, 0), ("RGBA", (90, 90, 90, 0), 90), ("I;16", 90 * 256 + 255, 90)],
)
def test_modes(mode: str, colour, read: int, tmp_path: Path, opened: Open):
    for name in ("a", "b"):
        picture(tmp_path / name / "x.png", colour, mode)
    for channels in (1, 3):
        train, _ = opened(["a", "b"], ["a", "b"], options={"model": taking(3, 4, channels)})

        np.testing.assert_allclose(everything(train)[0].features, read, atol=1)


def test_large_images_come_in_small_batches(folders: Path, opened: Open, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(image_folder, "BATCH_BYTES", 2 * 3 * 4 * 3 * 4)
    train, _ = opened("train", "validation")

    assert [len(batch) for batch in train.batches(4)] == [2, 2, 2]


def test_a_few_files_are_looked_at_for_a_quick_check(folders: Path, opened: Open, monkeypatch: pytest.MonkeyPatch):
    read: list[Path] = []
    honest = image_folder.decoded
    monkeypatch.setattr(image_folder, "decoded", lambda path, *a, **k: read.append(path) or honest(path, *a, **k))
    train, _ = opened("train", "validation", options={"max_files": 2})

    assert sum(len(batch) for batch in everything(train)) == len(read) == 2


def test_other_files_are_left_out_and_counted(folders: Path, opened: Open):
    (folders / "train/cat/Thumbs.db").write_bytes(b"x")
    (folders / "train/cat/.hidden.png").write_bytes(b"x")
    (folders / "train/README.txt").write_text("what is what")
    (folders / "train/empty").mkdir()
    train, _ = opened("train", "validation")

    assert levels(train) == {"cat": [0, 1, 2], "dog": [10, 11, 12]}
    assert train.describe()["skipped_files"] == {".db": 1}


def test_a_table_with_pictures_beside_it_is_a_table(tmp_path: Path, opened: Open):
    (tmp_path / "train.csv").write_text("a,y\n1,0\n2,1\n")
    picture(tmp_path / "plots" / "x.png")

    assert opened(".", ".", label="y")[0].layout == "table"


def test_a_class_of_one_split_alone_is_left_to_the_checks(folders: Path, opened: Open):
    picture(folders / "validation/fox/0.png", 30)

    assert set(levels(opened("train", "validation")[1])) == {"cat", "dog", "fox"}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


class TestProblems:
    def test_one_folder_of_images(self, folders: Path, opened: Open):
        assert problem_of(opened, "train/cat", "validation").code == "one_class_only"

    def test_images_and_a_table(self, folders: Path, opened: Open):
        (folders / "v.csv").write_text("a,y\n1,0\n")

        assert problem_of(opened, "train", "v.csv").code == "data_formats_mixed"
        assert problem_of(opened, ["train", "v.csv"], "validation").code == "data_formats_mixed"

    @pytest.mark.parametrize("role", ["label", "group", "features"])
    def test_no_columns_can_be_named(self, role: str, folders: Path, opened: Open):
        problem = problem_of(opened, **{role: ["x"] if role == "features" else "x"})

        assert (problem.code, problem.field) == (f"{role}_not_applicable", f"data.{role}")

    def test_a_model_that_takes_no_image(self, folders: Path, opened: Open):
        assert problem_of(opened, model=taking(12)).code == "feature_shape_mismatch"

    def test_sizes_differ_and_the_model_takes_any(self, folders: Path, opened: Open):
        picture(folders / "validation/cat/1.png", size=(5, 3))
        problem = problem_of(opened, model=taking(None, None, 3))

        assert (problem.code, Path(problem.file).name) == ("image_sizes_differ", "1.png")
        opened("train", "validation", options={"model": taking(3, 4, 3)})

    @pytest.mark.parametrize(
        "content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF89a"]
    )
    def test_what_is_no_image(self, content: bytes, folders: Path, opened: Open):
        (folders / "validation/dog/2.png").write_bytes(content)
        problem = problem_of(opened)

        assert problem.code == "image_unreadable"
        assert problem.file.endswith("validation/dog/2.png")
        assert problem.field == "data.validation.uri"

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".bmp"])
    def test_a_file_that_ends_early(self, suffix: str, folders: Path, opened: Open):
        path = folders / f"train/dog/9{suffix}"
        values = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
        Image.fromarray(values).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

        assert problem_of(opened, model=taking(4, 4, 3)).code == "image_unreadable"

    def test_a_decompression_bomb_is_not_decoded(self, folders: Path, opened: Open):
        """A header of 40,000 x 40,000 pixels, and nothing behind it."""
        header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
        chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b""))
        (folders / "train/dog/0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        problem = problem_of(opened, model=taking(4, 4, 3))

        assert problem.code == "image_too_large"
        assert "40,000 x 40,000" in problem.detail

    def test_a_huge_file_is_not_opened(self, folders: Path, opened: Open, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(image_file, "MAX_FILE_BYTES", 10)

        assert problem_of(opened).code == "image_too_large"

    def test_too_many(self, folders: Path, opened: Open, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(image_folder, "MAX_IMAGES", 5)

        assert problem_of(opened).code == "data_too_many_files"

    @pytest.mark.parametrize("link", ["train/cat/9.png", "train/fox"])
    def test_links_out_of_the_roots(
        self, link: str, folders: Path, tmp_path_factory: pytest.TempPathFactory, opened: Open
    ):
        outside = tmp_path_factory.mktemp("outside")
        picture(outside / "secret.png")
        target = outside / "secret.png" if link.endswith(".png") else outside
        (folders / link).symlink_to(target)
        problem = problem_of(opened)

        assert problem.code == "uri_outside_roots"

    def test_a_loop_of_links_ends(self, folders: Path, opened: Open):
        (folders / "train/cat/again").symlink_to(folders / "train")

        assert levels(opened("train", "validation")[0]) == {"cat": [0, 1, 2], "dog": [10, 11, 12]}

    def test_a_pipe_is_not_opened(self, folders: Path, opened: Open):
        os.mkfifo(folders / "train/cat/9.png")

        assert problem_of(opened).code == "data_not_regular_file"


def test_resizing_keeps_a_ramp_a_ramp():
    """Between pixel centres a ramp is a ramp; beyond the outermost centres it is flat."""
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[None, :, None], (3, 4, 1))

    assert image_file.resized(ramp, 3, 8)[1, :, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert image_file.resized(ramp, 6, 2)[5, :, 0].tolist() == [0.5, 2.5]


KERAS = """
import sys
import keras, numpy as np
folder, out = sys.argv[1:]
read = keras.utils.image_dataset_from_directory(
    folder, image_size=(20, 30), batch_size=100, shuffle=False, label_mode="int", verbose=False)
x, y = next(iter(read))
np.savez(out, x=x.numpy(), y=y.numpy(), classes=np.array(read.class_names))
"""


@pytest.mark.tensorflow
def test_reads_what_keras_reads(tmp_path: Path):
    rng = np.random.default_rng(0)
    for name, size in {"b": (40, 50), "a": (13, 30), "10": (20, 30), "9": (7, 7)}.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(
                tmp_path / "data" / name / f"{i}.png"
            )
    out = tmp_path / "keras.npz"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    subprocess.run([sys.executable, "-c", KERAS, str(tmp_path / "data"), str(out)], check=True, env=environment)
    theirs = np.load(out)
    data = Data.model_validate({"train": {"uri": "data"}, "validation": {"uri": "data"}})
    train, _ = open_splits(data, Roots((tmp_path,)), model=taking(20, 30, 3))
    (batch,) = everything(train)

    assert sorted(set(batch.labels)) == theirs["classes"].tolist()
    names = theirs["classes"][theirs["y"]]
    order = np.random.default_rng(image_folder.ORDER_SEED).permutation(len(names))
    assert batch.labels.tolist() == names[order].tolist()
    np.testing.assert_allclose(batch.features, theirs["x"][order], atol=1e-3)
