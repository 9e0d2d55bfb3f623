"""Queues by language: what a text is in, who reads it, and what nobody reads."""

from __future__ import annotations

import pytest

from labeling.actions.assign import assign
from labeling.actions.errors import ActionRefused
from labeling.actions.ingest import ingest_predictions
from labeling.actions.languages import set_languages, unread, waiting_languages
from labeling.actions.lease import next_task
from labeling.actions.people import end_membership
from labeling.actions.projects import change_settings
from labeling.actions.queues import left_for
from labeling.language import language_given, tag_of
from labeling.models import Event, Member, Project, Task
from tests.labeling.builders import make_member, make_project
from tests.labeling.cast import deferred, say
from tests.labeling.test_pages import LABELS, client_of
from tests.labeling.test_task_pages import text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(
        "heron",
        LABELS,
        blind_share=0.0,
        gold_share=0.0,
        repeat_share=0.0,
        answers_needed=1,
        language_queues="only",
    )


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada", name="Ada")


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann", name="Ann", languages=["ru"])


def task_of(member: Member) -> Task | None:
    lease = next_task(member=member)
    return lease.task if lease else None


@pytest.mark.parametrize(
    ("given", "tag"),
    [("pt-BR", "pt"), ("zh_Hans", "zh"), (" DE ", "de"), ("fil", "fil")]
    + [(wrong, "") for wrong in ("german", "d", "", "<b>", "de fr", None, 7, ["de"], "x" * 99)],
)
def test_a_tag_is_read_without_region_and_nothing_else_is_a_tag(given: object, tag: str) -> None:
    assert tag_of(given) == tag


@pytest.mark.parametrize(
    ("text", "metadata", "language"),
    [
        ("Where is my card?", {"language": "en-GB"}, "en"),
        ("Where is my card?", {}, ""),
        ("Где моя карта?", {}, "ru"),
        ("Де моя картка, її немає?", {"language": "?"}, "uk"),
        ("Где моя карта?", {"language": "bg"}, "bg"),
    ],
)
def test_the_metadata_say_the_language_or_else_the_letters_tell(
    text: str, metadata: dict[str, str], language: str
) -> None:
    assert language_given(text, metadata) == language


def test_texts_come_in_with_their_language_and_change_it(project: Project, ada: Member) -> None:
    def send(text: str, metadata: dict[str, str], **more: str) -> None:
        logits = [1.0] + [0.0] * (len(LABELS) - 1)
        item = {"external_id": "t1", "text": text, "logits": logits, "metadata": metadata}
        ingest_predictions(project=project, model_version="m1", items=[item], by=ada, **more)  # type: ignore[arg-type]

    send("Где моя карта?", {})
    assert Task.objects.get().language == "ru"
    send("Где моя карта?", {"language": "bg"})
    assert Task.objects.get().language == "bg"
    send("退款进度", {}, on_changed_text="revise")
    assert Task.objects.get().language == "zh"


@pytest.mark.embedded
def test_only_texts_in_their_languages_come_and_those_of_unknown_language(
    project: Project, ann: Member
) -> None:
    german = deferred(project, language="de", priority=1.0)
    unknown, russian = deferred(project), deferred(project, language="ru", priority=0.5)
    order = []
    while task := task_of(ann):
        order.append(task)
        say(ann, task, "Change plan")
    assert order == [russian, unknown]
    assert left_for(ann, up_to=9) == 0
    bob = make_member(project)
    assert task_of(bob) == german, "who names no language reads all"
    html = text_of(client_of(ann).get("/p/heron/annotate/").content.decode())
    assert "1 text waits for somebody else" in html


@pytest.mark.embedded
def test_texts_in_their_languages_come_first_and_then_the_others(
    project: Project, ann: Member
) -> None:
    Project.objects.filter(pk=project.pk).update(language_queues="first")
    ann.project.refresh_from_db()
    german = deferred(project, language="de", priority=1.0)
    russian, unknown = deferred(project, language="ru"), deferred(project)
    assert left_for(ann, up_to=9) == 3
    order = []
    while task := task_of(ann):
        order.append(task)
        say(ann, task, "Change plan")
    assert order == [russian, unknown, german]


def test_languages_do_nothing_where_the_project_does_not_say_so(
    project: Project, ann: Member
) -> None:
    Project.objects.filter(pk=project.pk).update(language_queues="off")
    ann.project.refresh_from_db()
    german = deferred(project, language="de", priority=1.0)
    deferred(project, language="ru")
    assert task_of(ann) == german
    assert unread(ann.project) == {}


def test_what_is_assigned_comes_though_the_languages_of_its_reader_changed(
    project: Project, ada: Member, ann: Member
) -> None:
    german, russian = deferred(project, language="de"), deferred(project, language="ru")
    with pytest.raises(ActionRefused, match="None of these tasks"):
        assign(tasks=[german.pk], by=ada, to=ann)
    assign(tasks=[russian.pk], by=ada, to=ann)
    set_languages(member=ann, languages="de", by=ann)
    assert task_of(ann) == russian


def test_what_nobody_reads_is_told_to_admins_alone(
    project: Project, ada: Member, ann: Member
) -> None:
    for language in ("uk", "uk", "ru", "de", "", "zh"):
        deferred(project, language=language)
    assert list(waiting_languages(project)) == ["de", "ru", "uk", "zh"]
    assert unread(project) == {}, "Ada names no language"
    set_languages(member=ada, languages="de", by=ada)
    assert unread(project) == {"uk": 2, "zh": 1}
    page = text_of(client_of(ada).get("/p/heron/").content.decode())
    assert "2 texts in Ukrainian (uk) wait, and nobody in the project reads it." in page
    assert "1 text in Chinese (zh) waits, and nobody in the project reads it." in page
    eve = make_member(project, "expert", "eve", languages=["uk", "zh"])
    assert unread(project) == {}
    end_membership(member=eve, by=ada)
    assert unread(project) == {"uk": 2, "zh": 1}
    for member in (ann, make_member(project, "expert", "kim", languages=["ru"])):
        assert "nobody in the project" not in client_of(member).get("/p/heron/").content.decode()
        page = client_of(member).get("/p/heron/annotate/").content.decode()
        assert "nobody in the project" not in page


def test_members_say_what_they_read_and_admins_say_it_of_others(
    project: Project, ada: Member, ann: Member
) -> None:
    deferred(project, language="uk")
    client = client_of(ann)
    page = text_of(client.get("/p/heron/me/").content.decode())
    assert "Languages of the texts that wait: Ukrainian (uk)." in page
    client.post("/p/heron/me/languages/", {"languages": "DE, pt-BR de"})
    ann.refresh_from_db()
    assert ann.languages == ["de", "pt"]
    said = client.post("/p/heron/me/languages/", {"languages": "german"}, follow=True)
    assert "Name up to 20 languages by their tags" in said.content.decode()
    path = f"/p/heron/people/{ann.pk}/languages/"
    assert client.post(path, {"languages": "uk"}).status_code == 403
    said = client_of(ada).post(path, {"languages": "uk"}, follow=True)
    assert "Ann reads: Ukrainian (uk)." in said.content.decode()
    ann.refresh_from_db()
    assert ann.languages == ["uk"]
    event = Event.objects.filter(verb="languages_changed").latest("pk")
    assert (event.member, event.new) == (ada, {"languages": ["uk"]})
    change_settings(project=project, settings={"language_queues": "off"}, by=ada)
    assert "Languages I read" not in client.get("/p/heron/me/").content.decode()
    assert 'name="languages"' not in client_of(ada).get("/p/heron/people/").content.decode()


def test_tasks_are_found_by_their_language(project: Project, ada: Member) -> None:
    ukrainian, other = deferred(project, language="uk"), deferred(project)
    found = client_of(ada).get("/p/heron/tasks/?language=uk-UA").content.decode()
    assert ukrainian.external_id in found
    assert other.external_id not in found
