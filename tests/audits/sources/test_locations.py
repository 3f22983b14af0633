"""Addresses lead below the data roots and nowhere else."""

import os
import socket
from pathlib import Path

import pytest

from audits.sources.locations import Roots, resolve, resolve_files
from schemas.problem import DataError, ModelError, ProblemError, RequestError


def is_csv(name: str) -> bool:
    return name.endswith(".csv")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "day").mkdir(parents=True)
    for name in ("a.csv", "b.csv", "day/c.csv", "day/d.csv", "day/readme.md", "day/_SUCCESS.csv", "day/.x.csv"):
        (folder / name).write_text("x\n1\n")
    return folder


def found(address: str | list[str], root: Path, field: str = "data.train.uri") -> list[str]:
    return [str(path.relative_to(root)) for path in resolve(address, Roots((root,)), field=field)]


def refused(address: str, root: Path, field: str = "data.train.uri") -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        resolve_files(address, Roots((root,)), field=field, is_data=is_csv)
    assert caught.value.field == field
    return caught.value


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "file:", "FILE://", ""])
def test_uris_and_paths(root: Path, prefix: str) -> None:
    assert found(f"{prefix}{root}/a.csv", root) == ["a.csv"]


def test_relative_paths_are_looked_up_below_each_root(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.csv").touch()

    assert resolve("z.csv", Roots((root, other)), field="f") == (other / "z.csv",)
    assert resolve(["a.csv", "z.csv"], Roots((root, other)), field="f") == (root / "a.csv", other / "z.csv")
    assert resolve("z*", Roots((root, other)), field="f") == (other / "z.csv",)


def test_globs_are_sorted_and_may_recurse(root: Path) -> None:
    assert found(f"file://{root}/*.csv", root) == ["a.csv", "b.csv"]
    assert found("**/[cd].csv", root) == ["day/c.csv", "day/d.csv"]
    assert found("?.csv", root) == ["a.csv", "b.csv"]


def test_lists_keep_their_order(root: Path) -> None:
    assert found(["b.csv", "a.csv"], root) == ["b.csv", "a.csv"]


def test_escapes_are_decoded_once(root: Path) -> None:
    (root / "ä b%20.csv").touch()

    assert found(f"file://{root}/%C3%A4%20b%2520.csv", root) == ["ä b%20.csv"]


def test_an_escaped_wildcard_is_a_plain_character(root: Path) -> None:
    (root / "x[1].csv").touch()
    (root / "x1.csv").touch()

    assert found(f"file://{root}/x%5B1%5D.csv", root) == ["x[1].csv"]
    assert found(f"file://{root}/%78%5B1%5D.*", root) == ["x[1].csv"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(root: Path) -> None:
    (root / "x[1].csv").touch()
    (root / "x1.csv").touch()

    assert found("x[1].csv", root) == ["x[1].csv"]


def test_folders_give_their_data_files(root: Path) -> None:
    files = resolve_files("day", Roots((root,)), field="f", is_data=is_csv)

    assert [file.path.name for file in files] == ["c.csv", "d.csv"]


def test_a_folder_without_data_files(root: Path) -> None:
    (root / "empty").mkdir()
    problem = refused("empty", root)

    assert (type(problem), problem.code) == (DataError, "data_not_found")
    assert ".csv" in problem.detail


@pytest.mark.parametrize(
    ("field", "kind", "code"),
    [
        ("model.uri", ModelError, "model_not_found"),
        ("data.train.uri", DataError, "data_not_found"),
        ("history.uri", DataError, "history_not_found"),
    ],
)
@pytest.mark.parametrize("address", ["missing.csv", "missing*.csv", "a.csv/x", "x" * 300])
def test_what_is_not_there(root: Path, field: str, kind: type, code: str, address: str) -> None:
    problem = refused(address, root, field)

    assert (type(problem), problem.code) == (kind, code)
    assert address[:100] in problem.detail


@pytest.mark.parametrize(
    "address",
    ["/etc/passwd", "file:///etc/passwd", "../outside.csv", "day/../../outside.csv", "/etc/*", "/nowhere/*.csv", "/"],
)
def test_nothing_outside_the_roots_is_looked_at(root: Path, address: str) -> None:
    """What exists there and what does not is refused alike."""
    problem = refused(address, root)

    assert (type(problem), problem.code) == (RequestError, "uri_outside_roots")
    assert "--data-root" in problem.detail


def test_a_root_whose_name_begins_alike_is_another(root: Path, tmp_path: Path) -> None:
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "x.csv").touch()

    assert refused(str(tmp_path / "root2" / "x.csv"), root).code == "uri_outside_roots"


@pytest.mark.parametrize("address", ["link.csv", "li*.csv", "folder", "folder/x.csv", "inside", "fol*/x.csv"])
def test_links_out_of_the_roots_are_refused(root: Path, tmp_path: Path, address: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.csv").touch()
    (root / "link.csv").symlink_to(tmp_path / "outside" / "x.csv")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "inside").mkdir()
    (root / "inside" / "y.csv").symlink_to(tmp_path / "outside" / "x.csv")

    assert refused(address, root).code == "uri_outside_roots"


def test_links_within_the_roots_are_followed(root: Path) -> None:
    (root / "link.csv").symlink_to(root / "a.csv")

    assert found("link.csv", root) == ["a.csv"]


def test_a_misspelled_name_is_answered_with_the_one_that_was_meant(root: Path) -> None:
    (root / "train.csv").write_text("x\n1\n")
    (root / "secret.csv").write_text("x\n1\n")

    relative, absolute = refused("trian.csv", root), refused(f"{root}/trian.csv", root)

    assert relative.detail.startswith("There is nothing at trian.csv. Did you mean 'train.csv'?")
    assert relative.detail.endswith(f"below the data roots: {root}.")
    assert absolute.detail == f"There is nothing at {root}/trian.csv. Did you mean 'train.csv'?"
    assert "secret" not in refused("nothing-like-it", root).detail


def test_names_outside_of_the_roots_are_not_told(root: Path) -> None:
    (root.parent / "train.csv").write_text("x\n1\n")

    assert "train.csv" not in refused("../trian.csv", root).detail


def test_a_loop_of_links_is_nothing(root: Path) -> None:
    (root / "one.csv").symlink_to(root / "two.csv")
    (root / "two.csv").symlink_to(root / "one.csv")

    assert refused("one.csv", root).code in {"data_not_found", "uri_outside_roots"}


@pytest.mark.parametrize("scheme", ["upload", "hdfs", "C", "ftp"])
def test_other_schemes_say_what_is_supported(root: Path, scheme: str) -> None:
    problem = refused(f"{scheme}://bucket/x.csv", root)

    assert (type(problem), problem.code) == (RequestError, "uri_scheme_forbidden")
    assert "file:///" in problem.detail


@pytest.mark.parametrize(
    "uri",
    [
        "file://host/x.csv",
        "file://x.csv",
        "file:///x%zz.csv",
        "file:///x%2",
        "file:///x%00.csv",
        "file:///x%ff.csv",
        "file:///x%ff*.csv",
        "file:///x.csv#part",
        "x\n.csv",
        "x\0.csv",
        "da*/../x.csv",
    ],
)
def test_malformed_addresses(root: Path, uri: str) -> None:
    problem = refused(uri, root)

    assert (type(problem), problem.code) == (RequestError, "uri_malformed")


def test_pipes_and_devices_are_not_read(root: Path) -> None:
    os.mkfifo(root / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "s.csv"))

        assert refused("pipe.csv", root).code == "data_not_regular_file"
        assert refused("s.csv", root).code == "data_not_regular_file"


def test_too_many_files(root: Path, monkeypatch) -> None:
    monkeypatch.setattr("audits.sources.locations.MAX_FILES", 1)

    assert refused("*.csv", root).code == "data_too_many_files"
    assert refused("day", root).code == "data_too_many_files"
