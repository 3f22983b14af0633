"""The page that compares two reports."""

from typing import Any

from schemas.comparison import ComparedFinding, ComparedMetric, Comparison, FindingChange
from service.formats.comparison import FINDING_WORDS, METRIC_WORDS, compared_effects, compared_pair, compared_word
from service.formats.numbers import signed
from service.formats.words import metric

ORDER: tuple[FindingChange, ...] = ("new", "not_tested_before", "remaining", "unanswered", "mended")
HEADINGS = {
    "new": ("New", "The check passed before, and finds it now."),
    "not_tested_before": ("Not tested before", "Found now; before, the check could not tell or was not run."),
    "remaining": ("Remains", "Found in both."),
    "unanswered": ("Cannot be told any more", "Found before; now the check cannot tell or was not run."),
    "mended": ("Mended", "Found before; now the check looked, and passed."),
}
MARKS = {
    "new": "fail",
    "not_tested_before": "fail",
    "remaining": "warn",
    "mended": "pass",
    "better": "pass",
    "worse": "fail",
}


def compare_context(comparison: Comparison) -> dict[str, Any]:
    """The comparison, finding by finding and metric by metric."""
    return {
        "before": comparison.before,
        "after": comparison.after,
        "verdicts": (comparison.verdict_before, comparison.verdict_after),
        "summary": comparison.summary,
        "notes": comparison.notes,
        "changes": [
            {"id": change.replace("_", "-"), "title": HEADINGS[change][0], "about": HEADINGS[change][1], "all": found}
            for change in ORDER
            if (found := [_finding(one) for one in comparison.findings if one.change == change])
        ],
        "splits": [
            {"name": name, "rows": rows}
            for split, name in (("validation", "Validation"), ("train", "Training"))
            if (rows := [_metric(one) for one in comparison.metrics if one.split == split])
        ],
    }


def _finding(one: ComparedFinding) -> dict[str, Any]:
    return {
        "code": one.code,
        "title": one.title,
        "severity": one.severity.value,
        "word": compared_word(one),
        "kind": MARKS.get(one.change, ""),
        "measured": compared_effects(one),
        "is_changed": compared_word(one) != FINDING_WORDS[one.change],
    }


def _metric(one: ComparedMetric) -> dict[str, Any]:
    interval = one.after.interval if one.after else None
    return {
        "name": metric(one.name),
        "is_primary": one.is_primary,
        "cells": compared_pair(one),
        "difference": "" if one.difference is None else signed(one.difference, interval),
        "word": METRIC_WORDS[one.change],
        "kind": MARKS.get(one.change, ""),
    }
