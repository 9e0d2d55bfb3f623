"""What docs/api.md says is what the site does."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import get_commands

from labeling.actions.projects import create_token
from labeling.models import PlanRow, Role, Stage, Task
from tests.labeling.builders import make_member, make_project
from tests.labeling.rest import user_of
from tests.support import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
LABELS = ("card_arrival", "card_lost", "fee")


def finish_everything(_seconds: float) -> None:
    """Stands in for the workers while the example sleeps."""
    PlanRow.objects.update(stage=Stage.DONE)
    from labeling.actions.runs import complete_runs

    complete_runs()


@pytest.mark.django_db(transaction=True)
def test_the_python_example_runs_but_for_the_address(
    live_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project("shop", LABELS)
    user = user_of(make_member(project, Role.ADMIN))
    _token, secret = create_token(user=user, name="docs", scopes=["read", "ingest"])
    monkeypatch.setenv("TOKEN", secret)
    monkeypatch.setattr("time.sleep", finish_everything)
    example = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert example is not None
    code = example[1].replace("http://127.0.0.1:8000", live_server.url)
    assert live_server.url in code
    exec(compile(code, "docs/api.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["2 new, 0 known", "chat/1 None None", "chat/2 None None"]
    assert Task.objects.get(external_id="chat/2").prediction.label.name == "fee"  # type: ignore[union-attr]


def test_the_commands_that_it_names_exist() -> None:
    named = set(re.findall(r"manage\.py (\w+)", PAGE))
    assert named == {
        "create_token",
        "draw_benchmark",
        "export",
        "import_predictions",
        "import_project",
    }
    assert named <= set(get_commands())
