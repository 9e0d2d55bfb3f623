"""The reranker's page: who may see it, what it says, and that it says it safely."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import HardThreshold, Member, PlanRow, Project, Ranking, Role, Run, Task
from labeling.statistics.intervals import wilson
from tests.labeling.builders import (
    label_of,
    make_artifact,
    make_configuration,
    make_member,
    make_model_version,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_user,
)
from tests.labeling.reranker_report import make_reranker, report_content
from tests.labeling.rest import user_of

pytestmark = pytest.mark.django_db
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def project() -> Project:
    return make_project("shop", ("a", "b", "c", "d"))


def signed_in(member: Member, *, is_staff: bool = True) -> Client:
    user = user_of(member)
    user.is_staff = is_staff
    user.save()
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def client(project: Project) -> Client:
    return signed_in(make_member(project, Role.ADMIN))


def page_of(project: Project) -> str:
    return reverse("admin:labeling_project_reranker", args=[project.pk])


def case_of(task: Task) -> str:
    return reverse("admin:labeling_project_reranker_case", args=[task.project_id, task.external_id])


def shown(client: Client, url: str) -> str:
    """What a reader sees: the page without tags, in single spaces."""
    answer = client.get(url)
    assert answer.status_code == 200
    text = re.sub(r"<(script|svg)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def interval(right: int, rows: int) -> str:
    """Wilson's, as the page writes it."""
    share = wilson(right, rows)
    return f"{share.low:.1%} – {share.high:.1%}"


def run_with(project: Project, reranker: str | None = None) -> Run:
    threshold = {"k": 5, "threshold": 3.2}
    return make_run(
        project, make_configuration(project, reranker=reranker, hard_threshold=threshold)
    )


def hard_task(run: Run, *entries: Sequence[Any], **fields: Any) -> Task:
    """A hard task; an entry is a label's name, and what follows the label id in the ranking."""
    project = run.project
    task = make_task(project, **fields)
    prediction = make_prediction(task)
    PlanRow.objects.create(run=run, task=task, revision=1, prediction=prediction)
    candidates = [[label_of(project, name).pk, *numbers] for name, *numbers in entries]
    Ranking.objects.create(
        run=run, task=task, revision=1, hard=True, variance=1.5, candidates=candidates
    )
    return task


def test_admins_of_the_project_and_superusers_see_it(project: Project, client: Client) -> None:
    task = hard_task(run_with(project), ("a", 0.6, 0.5))
    root = Client()
    root.force_login(make_user("root", is_staff=True, is_superuser=True))
    for someone in (client, root):
        assert someone.get(page_of(project)).status_code == 200
        assert someone.get(case_of(task)).status_code == 200


@pytest.mark.parametrize("hard", [True, False])
def test_a_case_whose_run_kept_no_threshold_names_none(
    project: Project, client: Client, hard: bool
) -> None:
    task = hard_task(make_run(project, make_configuration(project)), ("a", 0.6, 0.5))
    Ranking.objects.update(hard=hard)
    said = shown(client, case_of(task))
    assert "Its run kept no threshold." in said
    assert "below the threshold" not in said


def test_to_admins_of_other_projects_it_does_not_exist(project: Project) -> None:
    task = hard_task(run_with(project), ("a", 0.6, 0.5))
    stranger = signed_in(make_member(make_project("other"), Role.ADMIN))
    assert stranger.get(page_of(project)).status_code == 404
    assert stranger.get(case_of(task)).status_code == 404


@pytest.mark.parametrize("role", [Role.EXPERT, Role.REGULAR])
@pytest.mark.parametrize("is_staff", [True, False])
def test_experts_and_regulars_do_not_come_in(project: Project, role: str, is_staff: bool) -> None:
    task = hard_task(run_with(project), ("a", 0.6, 0.5))
    client = signed_in(make_member(project, role), is_staff=is_staff)
    for url in (page_of(project), case_of(task)):
        assert client.get(url).status_code == (404 if is_staff else 302)


def test_people_who_are_not_signed_in_are_sent_to_sign_in(project: Project) -> None:
    answer = Client().get(page_of(project))
    assert answer.status_code == 302
    assert "/login/" in answer.headers["Location"]


def test_a_task_of_another_project_is_not_shown_under_ones_own(
    project: Project, client: Client
) -> None:
    other = make_project("other")
    make_task(other, "theirs")
    url = reverse("admin:labeling_project_reranker_case", args=[project.pk, "theirs"])
    assert client.get(url).status_code == 404


def test_without_a_reranker_the_page_says_how_to_train_one(
    project: Project, client: Client
) -> None:
    text = shown(client, page_of(project))
    assert "No reranker is trained." in text
    assert "python manage.py train_reranker shop" in text
    assert "No threshold is fitted yet" in text
    assert "No task of the newest runs is hard." in text


def test_a_reranker_without_a_readable_report_asks_for_a_new_training(
    project: Project, client: Client
) -> None:
    artifact = make_artifact(project, "reranker", active=True)
    assert "Its training kept no report." in shown(client, page_of(project))
    artifact.delete()
    artifact = make_reranker(project)
    report = artifact.reranker_report
    report.content = {**report_content(project), "curves": "gone"}
    report.save()
    assert "“curves” is missing or has a wrong value." in shown(client, page_of(project))


def test_the_page_says_what_the_reranker_is_and_what_it_came_to(
    project: Project, client: Client
) -> None:
    make_reranker(project)
    text = shown(client, page_of(project))
    assert "It reranks by this rule: fitted pool of several views ." in text
    assert "It was trained on 8,120 texts. It was measured on 200 other texts." in text
    assert "Easy tasks: temperature, by which scores are divided 1.3" in text
    assert "Hard tasks: exponent of closeness of text and label 0.6" in text
    assert "Easy tasks: order of the labels as the classifier has it" in text
    assert f"Classifier alone 91.0% {interval(182, 200)} 60.0% 0.350" in text
    assert f"in use 93.0% {interval(186, 200)} 68.0% 0.270 0.240 – 0.300" in text


def test_the_curve_marks_the_threshold_and_says_it_in_words(
    project: Project, client: Client
) -> None:
    make_reranker(project)
    version = make_model_version(project)
    HardThreshold.objects.create(
        model_version=version, k=5, threshold=3.2, rows=300, misclassified=21
    )
    text = shown(client, page_of(project))
    assert (
        "The chosen threshold is 3.20 . Next to it, at 3.00, 21.0% of the texts are hard and "
        f"93.0% of all are right (95% interval {interval(279, 300)}, 300 texts). "
        "Reranking them took 0.05 s."
    ) in text
    assert "m1 3.200 5 300 21" in text
    content = client.get(page_of(project)).content.decode()
    assert content.count('class="chosen"') == 2
    assert "chosen: 3.20" in content


def test_the_heat_map_has_a_table_of_the_closest_pairs(project: Project, client: Client) -> None:
    make_reranker(project)
    text = shown(client, page_of(project))
    assert "Two different labels come to 0.58 on average before fine-tuning and to -0.10" in text
    assert "Most alike before fine-tuning Labels Before After a · b 0.75 -0.10" in text
    assert client.get(page_of(project)).content.count(b'<svg class="heat"') == 2


def test_hard_tasks_link_to_their_case_and_say_where_another_label_came_first(
    project: Project, client: Client
) -> None:
    artifact = make_reranker(project)
    run = run_with(project, artifact.digest)
    kept = hard_task(run, ("a", 0.6, 0.5, 0.4), ("b", 0.2, 0.3, 0.1), external_id="kept")
    turned = hard_task(run, ("b", 0.6, 0.2, 0.7), ("a", 0.2, 0.5, 0.1), external_id="turned")
    content = client.get(page_of(project)).content.decode()
    assert case_of(kept) in content
    assert case_of(turned) in content
    text = shown(client, page_of(project))
    assert "kept text number" in text
    assert "turned another label first text number" in text
    assert "b 20% 60% a 50% 20%" in text
    assert "No run has used this reranker yet" not in text


def test_the_newest_run_of_the_active_reranker_counts(project: Project, client: Client) -> None:
    old = run_with(project)
    task = hard_task(old, ("a", 0.6, 0.5))
    artifact = make_reranker(project)
    text = shown(client, page_of(project))
    assert "a 50% 60%" in text
    assert "No run has used this reranker yet" in text
    new = run_with(project, artifact.digest)
    candidates = [[label_of(project, "c").pk, 0.9, 0.1, 0.8]]
    Ranking.objects.create(run=new, task=task, revision=1, hard=True, candidates=candidates)
    text = shown(client, page_of(project))
    assert "c 10% 90%" in text
    assert "a 50% 60%" not in text


def test_easy_tasks_and_former_texts_are_left_out(project: Project, client: Client) -> None:
    run = run_with(project)
    easy = hard_task(run, ("a", 0.6, 0.5), external_id="easy")
    Ranking.objects.filter(task=easy).update(hard=False)
    revised = hard_task(run, ("a", 0.6, 0.5), external_id="revised")
    Task.objects.filter(pk=revised.pk).update(revision=2)
    assert "No task of the newest runs is hard." in shown(client, page_of(project))


def test_the_case_shows_scores_similarities_and_the_new_order(
    project: Project, client: Client
) -> None:
    task = hard_task(
        run_with(project), ("b", 0.7, 0.04, 0.612), ("a", 0.2, 0.87, -0.2), external_id="x/1"
    )
    text = shown(client, case_of(task))
    assert "A hard task: the variance of its best scores is 1.500, below the threshold" in text
    assert "No label stands for it yet." in text
    assert re.search(r"Scores .* a 3\.00 87\.0% b 0\.00 4\.3%", text)
    assert "b 0.612 a -0.200 Reranked" in text
    assert "b was no. 2 70.0% a was no. 1 20.0%" in text


def test_the_case_marks_the_label_that_stands(project: Project, client: Client) -> None:
    task = hard_task(run_with(project), ("b", 0.7, 0.04, 0.612), ("a", 0.2, 0.87, 0.1))
    task.resolutions.create(revision=1, source="single", label=label_of(project, "b"))
    text = shown(client, case_of(task))
    assert "What stands: b (one person). The classifier had it in place 2 of 4." in text
    assert text.count("✓ stands") == 3


def test_rankings_of_earlier_versions_keep_no_similarity(project: Project, client: Client) -> None:
    task = hard_task(run_with(project), ("b", 0.7, 0.04), ("a", 0.2, 0.87))
    assert "b 4% 70%" in shown(client, page_of(project))
    text = shown(client, case_of(task))
    assert "No similarities were kept" in text
    assert "b was no. 2 70.0%" in text


def test_a_similarity_may_be_unknown(project: Project, client: Client) -> None:
    task = hard_task(run_with(project), ("b", 0.7, 0.04, None), ("a", 0.2, 0.87, 0.3))
    assert "a 0.300 Reranked" in shown(client, case_of(task))


def test_a_task_that_no_run_reached_shows_its_scores(project: Project, client: Client) -> None:
    task = make_task(project)
    make_prediction(task)
    text = shown(client, case_of(task))
    assert "No run has reranked this text yet." in text
    assert "a 3.00 87.0%" in text
    assert "Nothing yet." in text
    assert "No scores are known of this text." in shown(client, case_of(make_task(project)))


def test_names_texts_and_settings_with_markup_are_shown_as_they_are(client: Client) -> None:
    project = make_project("risky", (f"{MARKUP} a", f"{{before}} {MARKUP}", "c"))
    make_member_of(client, project)
    names = list(project.labels.order_by("pk").values_list("name", flat=True))
    artifact = make_reranker(
        project,
        mode=MARKUP,
        settings={MARKUP: MARKUP, "weights": {MARKUP: 1.0}},
        curves=[
            {**report_content(project)["curves"][0], "model_version": MARKUP},
        ],
    )
    run = run_with(project, artifact.digest)
    entries = [(name, 0.5, 0.4, 0.3) for name in names]
    task = hard_task(run, *entries, text=MARKUP, external_id=MARKUP)
    for url in (page_of(project), case_of(task)):
        content = client.get(url).content.decode()
        assert MARKUP not in content
        assert "&lt;script&gt;alert(1)" in content
        assert " style=" not in content


def make_member_of(client: Client, project: Project) -> Member:
    """The client's user becomes an admin of this project as well."""
    user = Member.objects.get(user=client.session["_auth_user_id"]).user
    return Member.objects.create(project=project, user=user, role=Role.ADMIN, name="again")


def queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_more_tasks_versions_and_labels_take_no_more_queries(
    project: Project, client: Client
) -> None:
    artifact = make_reranker(project)
    run = run_with(project, artifact.digest)
    task = hard_task(run, ("a", 0.6, 0.5, 0.4))
    client.get(page_of(project))  # the content types that the session's first page looks up
    before = queries(client, page_of(project)), queries(client, case_of(task))
    for number in range(30):
        run = run_with(project, artifact.digest) if number % 5 == 0 else run
        hard_task(run, ("b", 0.6, 0.2, 0.7), ("a", 0.2, 0.5, 0.1))
        version = make_model_version(project, f"m{number}")
        HardThreshold.objects.create(
            model_version=version, k=5, threshold=3.2, rows=300, misclassified=21
        )
    assert (queries(client, page_of(project)), queries(client, case_of(task))) == before
    assert before[0] <= 15
    assert before[1] <= 15
    assert client.get(page_of(project)).content.count(b'class="shifts"') == 20


def test_the_page_is_linked_from_the_project_for_those_who_may_see_it(
    project: Project, client: Client
) -> None:
    make_task(project)
    link = f'href="{page_of(project)}"'
    change = reverse("admin:labeling_project_change", args=[project.pk])
    overview = reverse("labeling:overview", args=[project.slug])
    assert link in client.get(change).content.decode()
    assert link in client.get(overview).content.decode()
    for role, is_staff in ((Role.EXPERT, True), (Role.ADMIN, False)):
        other = signed_in(make_member(project, role), is_staff=is_staff)
        assert link not in other.get(overview).content.decode()
