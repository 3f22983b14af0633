"""TensorFlow imported and untouched, as in the process that audits are forked from."""

import pytest

from audits.models import import_tensorflow


@pytest.fixture(scope="session")
def tensorflow() -> None:
    import_tensorflow()
