"""What README.md promises is there."""

import re
from pathlib import Path

from audits.catalogue import entries
from service.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_check_is_listed() -> None:
    listed = set(re.findall(r"\[`([a-z]+\.[a-z_]+)`\]\(docs/checks/", README))

    assert listed == {entry.code for entry in entries()}


def test_every_setting_is_listed() -> None:
    listed = set(re.findall(r"\| `FITCHECK_([A-Z_]+)` \|", README))

    assert listed == {name.upper() for name in Settings.model_fields}


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)

    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = re.findall(r"^make ([a-z -]+)", README, re.MULTILINE)

    assert lines
    assert {word for line in lines for word in line.split()} <= targets
