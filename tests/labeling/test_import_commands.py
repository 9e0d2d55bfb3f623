"""The commands that bring data in and out, from files to files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from labeling import rules
from labeling.models import ApiToken, BenchmarkItem, Member, ModelVersion, Project, Role, Task
from tests.labeling.builders import make_member, make_project, make_user
from tests.support import data_path

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def run(*words: Any, **options: Any) -> str:
    """What the command prints on standard output."""
    out = io.StringIO()
    call_command(*map(str, words), stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prediction(external_id: str, **fields: Any) -> dict[str, Any]:
    return {"external_id": external_id, "text": f"text of {external_id}", "logits": [3, 1, 0],
            **fields}  # fmt: skip


def test_a_project_is_made_with_its_labels_and_an_admin(tmp_path: Path) -> None:
    make_user("ann")
    (tmp_path / "labels.txt").write_text("card lost\nfees\n")

    said = run("create_project", "help-desk", "--labels", tmp_path / "labels.txt",
               "--admin", "ann")  # fmt: skip

    project = Project.objects.get(slug="help-desk")
    assert project.name == "Help desk"
    assert list(project.labels.values_list("key", "name")) == [
        ("card_lost", "card lost"), ("fees", "fees"),
    ]  # fmt: skip
    assert "2 labels" in said
    member = Member.objects.get(project=project)
    assert (member.user and member.user.username, member.role) == ("ann", Role.ADMIN)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["shop", "--labels", "labels.txt"], "a project with the address “shop” already"),
        (["new", "--labels", "none.txt"], "cannot be opened"),
        (["new", "--labels", "one.txt"], "2 to 5000 labels; this one has 1"),
        (["new", "--labels", "labels.txt", "--admin", "nobody"], "no user “nobody”"),
        (["not a slug", "--labels", "labels.txt"], "slug"),
    ],
)
def test_a_project_that_cannot_be_made_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    make_project("shop")
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("a\nb\n")
    Path("one.txt").write_text("a\n")

    with pytest.raises(CommandError, match=sentence):
        run("create_project", *words)
    assert Project.objects.count() == 1


def test_predictions_are_imported_once(tmp_path: Path, project: Project) -> None:
    file = write(tmp_path / "intents-v2.jsonl", prediction("t1"), prediction("t2"))

    first = run("import_predictions", "shop", file)
    again = run("import_predictions", "shop", file)

    assert first.startswith("2 created, 0 updated, 0 unchanged, 0 refused; run ")
    assert again.startswith("0 created, 0 updated, 2 unchanged, 0 refused; run ")
    assert ModelVersion.objects.get().name == "intents-v2"


def test_a_bad_row_keeps_the_file_out_or_is_skipped(tmp_path: Path, project: Project) -> None:
    file = write(tmp_path / "x.jsonl", prediction("t1"), prediction("t2", logits=[1]))

    with pytest.raises(CommandError, match="row 1: logits: There are 3 labels but 1 scores"):
        run("import_predictions", "shop", file, "--model-version", "m1")
    assert not Task.objects.exists()

    said = run("import_predictions", "shop", file, "--model-version", "m1",
               "--on-error", "skip_row")  # fmt: skip
    assert said.startswith("1 created, 0 updated, 0 unchanged, 1 refused")


def test_a_broken_line_keeps_the_whole_file_out(tmp_path: Path, project: Project) -> None:
    file = write(tmp_path / "x.jsonl", prediction("t1"))
    file.write_text(file.read_text() + "{broken\n")

    with pytest.raises(CommandError, match=r"x\.jsonl, line 2: this is not JSON"):
        run("import_predictions", "shop", file)
    assert not Task.objects.exists()


def test_an_unknown_project_is_named_with_those_there_are(tmp_path: Path, project: Project) -> None:
    with pytest.raises(CommandError, match=r"no project “bank”\. Projects here: shop"):
        run("import_predictions", "bank", tmp_path / "x.jsonl")


def test_a_csv_is_imported_with_the_kind_of_scores_it_shows(
    tmp_path: Path, project: Project
) -> None:
    file = tmp_path / "x.csv"
    file.write_text("external_id,text,a,b,c\nt1,'=1+1,0.2,0.3,0.5\nt2,'tis so,0.1,,0.2\n")

    run("import_predictions", "shop", file, "--model-version", "m1")

    assert ModelVersion.objects.get().score_kind == "probabilities"
    texts = Task.objects.order_by("external_id").values_list("text", flat=True)
    assert list(texts) == ["=1+1", "'tis so"]


def test_raw_cells_are_taken_as_they_stand(tmp_path: Path, project: Project) -> None:
    file = tmp_path / "x.csv"
    file.write_text("external_id,text,a,b,c\nt1,'=1+1,1,2,3\n")

    run("import_predictions", "shop", file, "--model-version", "m1", "--raw")

    assert Task.objects.get().text == "'=1+1"


def test_documents_are_imported_once(tmp_path: Path, project: Project) -> None:
    file = write(tmp_path / "docs.jsonl", {"id": "1", "text": "x"}, {"id": "2", "text": "y"})

    assert run("import_documents", "shop", file) == "2 created, 0 updated, 0 unchanged.\n"
    assert run("import_documents", "shop", file) == "0 created, 0 updated, 2 unchanged.\n"


def test_the_banks_documents_are_all_imported(project: Project) -> None:
    file = data_path("kb_bank_faq", "docs.jsonl")

    assert run("import_documents", "shop", file) == "1486 created, 0 updated, 0 unchanged.\n"


ANSWER = {"external_id": "t1", "text": "x", "expert": "Ann", "label": "a"}


def test_a_benchmark_payload_names_its_part_and_sampling(tmp_path: Path, project: Project) -> None:
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"part": "tune", "sampling": "random", "items": [ANSWER]}))

    said = run("import_benchmark", "shop", file)

    assert said.startswith("1 created, 0 updated, 0 unchanged, 0 refused; 1 task without")
    assert BenchmarkItem.objects.get().part == "tune"
    with pytest.raises(CommandError, match="The file says part “tune”, the option says “test”"):
        run("import_benchmark", "shop", file, "--part", "test")


def test_benchmark_lines_need_the_part_and_sampling_as_options(
    tmp_path: Path, project: Project
) -> None:
    file = write(tmp_path / "b.jsonl", ANSWER, ANSWER | {"external_id": "t2", "text": "y",
                                                         "label": "z"})  # fmt: skip
    with pytest.raises(CommandError, match="does not say its part: add --part"):
        run("import_benchmark", "shop", file)

    with pytest.raises(CommandError, match="1 row was refused; the others are stored"):
        run("import_benchmark", "shop", file, "--part", "fit", "--sampling", "chosen")
    assert BenchmarkItem.objects.get().sampling == "chosen"


def test_an_export_goes_to_a_file_or_to_standard_output(tmp_path: Path, project: Project) -> None:
    run("import_predictions", "shop", write(tmp_path / "x.jsonl", prediction("t1", text="=1+1")))

    printed = run("export", "shop", "--format", "jsonl")
    assert json.loads(printed)["text"] == "=1+1"

    file = tmp_path / "out.csv"
    assert run("export", "shop", "--format", "csv", "--output", file, "--raw") == ""
    (row,) = csv.DictReader(io.StringIO(file.read_text(), newline=""))
    assert (row["text"], row["predicted_label"]) == ("=1+1", "a")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []

    assert run("export", "shop", "--format", "jsonl", "--status", "resolved") == ""


def test_an_export_that_cannot_be_written_is_refused_in_words(
    tmp_path: Path, project: Project
) -> None:
    with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
        run("export", "shop", "--format", "jsonl", "--output", tmp_path / "none" / "x.jsonl")


def test_a_token_is_printed_once_and_stored_as_its_digest(project: Project) -> None:
    member = make_member(project, username="ann")

    secret = run("create_token", "ann", "--project", "shop", "--scope", "read",
                 "--scope", "ingest", "--name", "uploader").strip()  # fmt: skip

    token = ApiToken.objects.get()
    assert token.digest == rules.secret_digest(secret)
    assert (token.member, token.name, token.scopes) == (member, "uploader", ["ingest", "read"])


def test_a_token_is_for_a_user_and_a_project_of_theirs(project: Project) -> None:
    with pytest.raises(CommandError, match="no user “bob”"):
        run("create_token", "bob", "--scope", "read")
    make_user("bob")
    with pytest.raises(CommandError, match="“bob” is no member of the project “shop”"):
        run("create_token", "bob", "--scope", "read", "--project", "shop")
    with pytest.raises(CommandError, match="invalid choice"):
        run("create_token", "bob", "--scope", "everything")
    run("create_token", "bob", "--scope", "read")
    assert ApiToken.objects.get().member is None
