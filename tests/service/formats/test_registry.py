"""The report for other tools, each held against what that tool reads."""

import csv
import gzip
import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow.parquet as pq
import pytest
import yaml
from jsonschema import Draft7Validator

from schemas.report import CheckRecord, Estimate, Outcome, Report
from service.formats.junit import junit
from service.formats.markdown import MAX_CODE, escaped, markdown
from service.formats.model_card import model_card
from service.formats.registry import FORMATS
from service.formats.rows import HEAD, rows_csv, rows_parquet
from service.formats.sarif import sarif
from tests.service.cli.reports import whole_report
from tests.service.pages.hostile import HOSTILE, hostile_report
from tests.service.pages.large import large_report
from tests.service.reports import report as smallest_report

SARIF = Path(__file__).parents[2] / "vendor" / "sarif-schema-2.1.0.json.gz"
REPORTS = {
    "whole": whole_report,
    "hostile": hostile_report,
    "large": large_report,
    "smallest": lambda: smallest_report("audit-1"),
}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("form", FORMATS)
def test_every_report_has_every_form(name, form):
    assert FORMATS[form].render(REPORTS[name]()).body


def report_of_training_rows() -> Report:
    """A report whose first finding names rows of the training split."""
    report = hostile_report()
    first = report.findings[0]
    there = first.model_copy(update={"affected": first.affected.model_copy(update={"split": "train"})})
    files = {name: {"files": [f"/data/{name}.csv"]} for name in ("train", "validation")}
    return report.model_copy(update={"findings": [there], "data": files})


@pytest.fixture(scope="module")
def sarif_schema() -> Draft7Validator:
    return Draft7Validator(json.loads(gzip.decompress(SARIF.read_bytes())))


class TestMarkdown:
    def test_the_answer_comes_first(self):
        lines = markdown(whole_report()).splitlines()

        assert lines[0] == "## ❌ fitcheck: fail"
        assert lines[2] == "**The validation data were never standardised.**"

    def test_a_cause_has_its_proof_and_its_remedy(self):
        text = markdown(whole_report())

        assert "98% of the gap" in text
        assert "**Confirmed**: standardise 30 columns (balanced accuracy 0.50 → 0.97" in text
        assert "```python\nscaler = StandardScaler().fit(train)\n```" in text

    def test_nothing_in_it_is_markup_of_others(self):
        """Neither a tag nor a column of the table comes from a name."""
        text = markdown(hostile_report())

        outside = text.split("```")[0]
        assert "<script" not in outside.replace("\\<", "")
        assert escaped("a|b <i>") == "a\\|b \\<i\\>"

    def test_code_with_a_fence_in_it_stays_inside_its_own(self):
        assert "````python" in markdown(hostile_report())

    def test_a_comment_is_not_longer_than_hosts_allow(self):
        """Code of a thousand columns is left to the report."""
        report = large_report()
        long = report.diagnosis[0].remedy.model_copy(update={"code": "x = 1\n" * MAX_CODE})
        causes = [report.diagnosis[0].model_copy(update={"remedy": long})] * 3
        text = markdown(report.model_copy(update={"diagnosis": causes}))

        assert len(text) < 65_536
        assert "characters; it stands in the report" in text


class TestJUnit:
    def test_each_check_is_a_case(self):
        root = ET.fromstring(junit(whole_report()))

        assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
            "tests": "3",
            "failures": "1",
            "errors": "0",
            "skipped": "1",
        }
        failure = root.find(".//failure")
        assert failure.get("type") == "critical"
        assert "Apply the training scaler." in failure.text

    def test_a_crash_is_an_error(self):
        crashed = CheckRecord(code="metrics.weak_model", outcome=Outcome.ERROR, reason="crashed", seconds=0)
        root = ET.fromstring(junit(whole_report().model_copy(update={"checks": [crashed]})))

        assert root.get("errors") == "1"
        assert root.find(".//error").get("message") == "crashed"

    def test_characters_that_xml_does_not_know_are_replaced(self):
        reason = "a\x00b\x1b<&>\ud800"
        check = CheckRecord.model_construct(
            code="metrics.weak_model", outcome=Outcome.INCONCLUSIVE, reason=reason, seconds=0, limits={}
        )
        root = ET.fromstring(junit(whole_report().model_copy(update={"checks": [check]})))

        assert root.find(".//skipped").get("message") == "inconclusive: a\ufffdb\ufffd<&>\ufffd"


class TestSarif:
    @pytest.mark.parametrize("name", REPORTS)
    def test_it_is_valid(self, sarif_schema, name):
        assert [error.message[:200] for error in sarif_schema.iter_errors(json.loads(sarif(REPORTS[name]())))] == []

    def test_each_finding_is_a_result_of_its_rule(self):
        run = json.loads(sarif(whole_report()))["runs"][0]

        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert [result["level"] for result in run["results"]] == ["error", "warning"]
        assert run["results"][0]["properties"]["confirmed"] is True

    def test_an_alert_keeps_its_identity_when_numbers_change(self):
        first, second = (json.loads(sarif(whole_report(summary=text)))["runs"][0]["results"] for text in "ab")

        assert first[0]["partialFingerprints"] == second[0]["partialFingerprints"]
        assert first[0]["partialFingerprints"] != first[1]["partialFingerprints"]

    def test_a_finding_of_training_rows_lies_in_the_training_file(self):
        result = json.loads(sarif(report_of_training_rows()))["runs"][0]["results"][0]

        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///data/train.csv"

    def test_a_path_with_anything_in_it_is_an_address(self):
        result = json.loads(sarif(hostile_report()))["runs"][0]["results"][0]
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]

        assert uri.startswith("file:///data/")
        assert not set(uri) & set("<> \"'`|")


class TestRows:
    def test_each_row_has_its_reason(self):
        rows = list(csv.DictReader(io.StringIO(rows_csv(hostile_report()))))

        assert [(row["split"], row["row"]) for row in rows] == [("validation", "3")] * 2
        assert rows[0]["reason"] == HOSTILE

    def test_rows_of_the_training_file_are_told_apart(self):
        rows = list(csv.DictReader(io.StringIO(rows_csv(report_of_training_rows()))))

        assert [row["split"] for row in rows] == ["train"]

    @pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
    def test_a_spreadsheet_takes_no_reason_for_a_formula(self, sign):
        report = hostile_report()
        evil = [one.model_copy(update={"title": f"{sign}HYPERLINK(1)"}) for one in report.findings]
        rows = list(csv.DictReader(io.StringIO(rows_csv(report.model_copy(update={"findings": evil})), newline="")))

        assert rows[0]["reason"] == f"'{sign}HYPERLINK(1)"

    def test_the_table_holds_what_the_text_holds(self):
        """Its rows are numbers, and its texts as they are: no spreadsheet reads it."""
        report = hostile_report()
        evil = [one.model_copy(update={"title": "=HYPERLINK(1)"}) for one in report.findings]
        table = pq.read_table(io.BytesIO(rows_parquet(report.model_copy(update={"findings": evil}))))

        assert table.column_names == list(HEAD)
        assert table.column("row").to_pylist() == [3, 3]
        assert set(table.column("reason").to_pylist()) == {"=HYPERLINK(1)"}
        assert table.schema.metadata[b"fitcheck.audit_id"] == report.audit_id.encode()

    def test_a_table_without_rows_has_its_columns(self):
        table = pq.read_table(io.BytesIO(rows_parquet(smallest_report("audit-1"))))

        assert (table.num_rows, table.column_names) == (0, list(HEAD))


def front_matter(text: str) -> dict:
    before, head, _ = text.split("---\n", 2)
    assert before == ""
    return yaml.safe_load(head)


class TestModelCard:
    """That `huggingface_hub` reads it is tested in test_model_card_on_the_hub.py."""

    def index(self, **update: object) -> dict:
        (index,) = front_matter(model_card(whole_report().model_copy(update=update)))["model-index"]
        return index

    def test_the_metrics_are_those_of_the_validation_data(self):
        (result,) = self.index(data={"layout": "table", "validation": {"files": ["/data/churn/july.parquet"]}})[
            "results"
        ]

        assert result["task"]["type"] == "tabular-classification"
        assert result["dataset"] == {"type": "july", "name": "july.parquet", "split": "validation"}
        assert result["metrics"] == [{"type": "balanced_accuracy", "value": 0.5, "name": "balanced accuracy"}]

    @pytest.mark.parametrize(
        ("ours", "type_", "arguments"),
        [("mcc", "matthews_correlation", None), ("macro_f1", "f1", {"average": "macro"}), ("rmse", "rmse", None)],
    )
    def test_a_metric_has_the_name_that_the_hub_knows(self, ours, type_, arguments):
        metrics = whole_report().metrics
        values = {ours: Estimate(estimate=0.25), "answered": Estimate(estimate=1.0), "mae": Estimate(estimate=None)}
        split = metrics.validation.model_copy(update={"values": values})
        (result,) = self.index(metrics=metrics.model_copy(update={"validation": split}))["results"]
        (metric,) = result["metrics"]

        assert (metric["type"], metric["value"], metric.get("args")) == (type_, 0.25, arguments)

    @pytest.mark.parametrize(
        ("layout", "task", "type_"),
        [
            ("table", "regression", "tabular-regression"),
            ("vector", "binary", "tabular-classification"),
            ("image", "multiclass", "image-classification"),
            ("image", "regression", "other"),
            ("sequence", "binary", "other"),
        ],
    )
    def test_the_task_is_one_of_the_hub(self, layout, task, type_):
        (result,) = self.index(data={"layout": layout}, model={"output": {"task": task}})["results"]

        assert result["task"]["type"] == type_

    @pytest.mark.parametrize(
        ("uri", "name"),
        [
            ("s3://models/churn/7", "churn/7"),
            ("/models/churn.keras", "churn"),
            ("model", "model"),
            (None, "model"),
            ("upload://1f", "model"),
        ],
    )
    def test_the_model_is_named_by_its_address(self, uri, name):
        assert self.index(model={"uri": uri})["name"] == name

    @pytest.mark.parametrize(
        ("file", "type_"), [("/data/July 2026 (new).csv", "July-2026-new"), ("/data/??.csv", "validation")]
    )
    def test_a_data_set_has_an_identifier(self, file, type_):
        (result,) = self.index(data={"validation": {"files": [file]}})["results"]

        assert result["dataset"]["type"] == type_

    def test_the_known_problems_are_those_that_cost_performance(self):
        text = model_card(whole_report())

        assert "## Evaluation\n\nVerdict of an audit: **fail**. The validation data were never standardised." in text
        assert "| balanced accuracy | 0.98 (0.93 to 1.03) | 0.50 (0.45 to 0.55) |" in text
        assert "(critical, `preprocessing.scaling_mismatch`). It matters.\n  Confirmed: standardise 30 columns" in text
        assert "Not known, because the data or the audit did not suffice: no signal." in text

    def test_a_sound_model_has_none(self):
        assert "## Known problems\n\nNone found; 1 check passed." in model_card(
            whole_report("pass").model_copy(update={"findings": [], "diagnosis": []})
        )

    def test_names_are_neither_yaml_nor_markup(self):
        report = hostile_report()
        data = {"validation": {"files": [f"/data/{HOSTILE}: [\n---\x00\u2028"]}}
        text = model_card(report.model_copy(update={"data": data}))

        (result,) = front_matter(text)["model-index"][0]["results"]
        assert result["dataset"]["name"].endswith(": [\n---\x00\u2028")
        assert "<script" not in text.split("## Evaluation")[1].replace("\\<", "")
