"""The zoo, made once."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.zoo.zoo import complete

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Zoo:
    """The models, and what none of them may do.

    Attributes:
        models: folder of the entries by name.
        secret: file that none may read; it holds the labels.
        outside: folder that none may write.
        listener: a port that none may connect to.
    """

    models: Path
    secret: Path
    outside: Path
    listener: socket.socket

    def require_untouched(self) -> None:
        """Nothing was written, and nobody has connected."""
        assert list(self.outside.iterdir()) == []
        self.listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            self.listener.accept()


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """Made elsewhere, because a process that has used TensorFlow cannot be forked any more."""
    home = tmp_path_factory.mktemp("zoo")
    models, outside, secret = home / "models", home / "outside", home / "labels.csv"
    models.mkdir()
    outside.mkdir()
    secret.write_text("1\n0\n1\n0\n1\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = [models, secret, outside, str(listener.getsockname()[1])]
        command = [sys.executable, "-m", "tests.zoo.make_zoo", *map(str, arguments)]
        made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert made.returncode == 0, made.stderr[-2000:]
        complete(models, secret)
        yield Zoo(models, secret, outside, listener)
