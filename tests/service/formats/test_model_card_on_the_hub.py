"""The model card, read by Hugging Face's own library."""

import json
import subprocess
from pathlib import Path

import pytest

from service.formats.model_card import model_card
from tests.foreign import python_of
from tests.service.cli.reports import whole_report
from tests.service.pages.hostile import hostile_report

READ = """
import json, sys
from huggingface_hub import ModelCard, ModelCardData

told = []
for file in sys.argv[1:]:
    data = ModelCard.load(file, ignore_metadata_errors=False).data
    assert isinstance(data, ModelCardData)
    assert ModelCard(f"---\\n{data.to_yaml()}\\n---\\n").data.eval_results == data.eval_results
    told.append([data.model_name, data.tags, [
        [one.task_type, one.dataset_type, one.dataset_name, one.dataset_split, one.metric_type, one.metric_value]
        for one in data.eval_results
    ]])
print(json.dumps(told))
"""


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_hub_finds_every_metric(tmp_path: Path):
    """And writes it again without a loss; a name that is markup elsewhere does no harm."""
    files = []
    for name, report in (("whole", whole_report()), ("hostile", hostile_report())):
        files.append(tmp_path / f"{name}.md")
        files[-1].write_text(model_card(report.model_copy(update={"model": {"uri": f"s3://models/{name}/7"}})), "utf-8")
    command = [python_of("huggingface"), "-c", READ, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    whole, hostile = json.loads(done.stdout)
    assert whole[:2] == ["whole/7", ["fitcheck"]]
    assert whole[2][0][-2:] == ["balanced_accuracy", 0.5]
    assert hostile[0] == "hostile/7"
