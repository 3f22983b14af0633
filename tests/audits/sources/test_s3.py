"""s3:// addresses against a server that speaks S3, with credentials from the environment."""

from collections.abc import Iterator

import pytest

from audits.sources import Roots, open_splits
from audits.sources.remote import scratch
from schemas.data import Data
from schemas.problem import ProblemError
from tests.audits.sources.conftest import everything

pytest.importorskip("s3fs")
moto_server = pytest.importorskip("moto.server")
# botocore and moto use what Python is about to drop
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto_server.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    import s3fs  # noqa: PLC0415

    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    if not files.exists("bucket"):
        files.mkdir("bucket")
    for year in (2023, 2024):
        files.pipe(f"bucket/d/year={year}/x.csv", b"a,y\n1,0\n2,1\n")
    return "s3://bucket"


def test_a_partitioned_folder_a_file_and_what_is_not_there(bucket: str) -> None:
    def opened(address: str) -> Data:
        reference = {"uri": address}
        return Data.model_validate({"train": reference, "validation": reference, "label": "y"})

    with scratch() as place:
        roots = Roots((), ("s3://bucket/d",), place)
        train, _ = open_splits(opened(f"{bucket}/d"), roots)
        assert [column.name for column in train.columns] == ["a", "year"]
        assert sum(map(len, everything(train))) == 4
        train, _ = open_splits(opened(f"{bucket}/d/year=2023/x.csv"), roots)
        assert place.said(train.describe())["files"] == ["s3://bucket/d/year=2023/x.csv"]
        with pytest.raises(ProblemError) as caught:
            open_splits(opened(f"{bucket}/d/none.csv"), roots)
    assert caught.value.code == "data_not_found"
