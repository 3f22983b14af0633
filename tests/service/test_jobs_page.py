"""docs/jobs.md keeps what it promises: its code verifies, its metrics and settings exist."""

import base64
import re
import time
from pathlib import Path

import pytest

from service.api.metrics import _counters, _gauges
from service.api.webhooks import signed_headers
from service.jobs.interface import Statistics
from service.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()


@pytest.fixture(scope="module")
def verify():
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(code, names)
    return names["verify"]


def test_the_code_verifies_what_is_sent(verify):
    """Also while two secrets sign."""
    headers = signed_headers("an id", b"a body", (OTHER, SECRET), time.time())

    verify(headers, b"a body", SECRET)
    verify(headers, b"a body", OTHER)


@pytest.mark.parametrize(
    ("change", "body", "age"),
    [({}, b"another body", 0), ({"webhook-id": "another"}, b"a body", 0), ({}, b"a body", 3600)],
)
def test_the_code_refuses_what_was_changed_or_is_old(verify, change, body, age):
    headers = signed_headers("an id", b"a body", (SECRET,), time.time() - age) | change

    with pytest.raises(ValueError, match=r"signed|old"):
        verify(headers, body, SECRET)


def test_another_secret_does_not_verify(verify):
    with pytest.raises(ValueError, match="not signed"):
        verify(signed_headers("an id", b"a body", (OTHER,), time.time()), b"a body", SECRET)


def test_the_metrics_are_those_that_there_are():
    nothing = Statistics({}, {}, {}, {}, {}, {}, {})
    made = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in (*_gauges(nothing), *_counters(nothing))
    }

    assert set(re.findall(r"^\| `(fitcheck_\w+)`", PAGE, re.MULTILINE)) == made | {
        "fitcheck_followers",
        "fitcheck_database_up",
        "fitcheck_isolation_level",
        "fitcheck_isolation_info",
    }


def test_the_settings_exist():
    assert {name.lower() for name in re.findall(r"FITCHECK_([A-Z_]+)", PAGE)} <= set(Settings.model_fields)
