"""Documents that helped: marked on the labeling page, by those who were shown them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from labeling.actions.errors import ActionRefused
from labeling.actions.lease import next_task
from labeling.actions.projects import change_settings
from labeling.actions.retrieval import mark_helpful, retrieval_method, retrieval_settings
from labeling.models import Document, Event, HelpfulDocument, Lease, Member, Project
from tests.labeling.builders import make_artifact, make_member, make_project
from tests.labeling.cast import deferred
from tests.labeling.test_pages import assisted, client_of

pytestmark = pytest.mark.django_db

ADDRESS = "/p/heron/annotate/helpful/"
LABELS = ["SIM not seen", "Activate a SIM", "Charged twice"]


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def lease(project: Project, ann: Member) -> Lease:
    assisted(project)
    lease = next_task(member=ann)
    assert lease is not None
    return lease


@pytest.fixture
def document(lease: Lease) -> Document:
    return Document.objects.get()


def mark(client: Client, lease: Lease, document: Document, **more: Any) -> Any:
    sent = {"lease": lease.pk, "document": document.pk, **more}
    return client.post(ADDRESS, sent, headers={"HX-Request": "true"})


def marks() -> list[tuple[str, str]]:
    rows = HelpfulDocument.objects.values_list("member__name", "document__external_id")
    return [(name, external_id) for name, external_id in rows]


def test_a_shown_document_is_marked_and_the_mark_taken_back(
    lease: Lease, document: Document, ann: Member
) -> None:
    client = client_of(ann)
    page = client.get("/p/heron/annotate/").content.decode()
    assert 'aria-pressed="false"' in page
    marked = mark(client, lease, document, helpful="on").content.decode()
    assert 'aria-pressed="true"' in marked
    assert 'name="helpful"' not in marked  # sent again, the form takes the mark back
    assert marks() == [("ann", "d1")]
    assert 'aria-pressed="true"' in client.get("/p/heron/annotate/").content.decode()
    assert 'aria-pressed="false"' in mark(client, lease, document).content.decode()
    assert marks() == []
    said = Event.objects.filter(verb="document_marked").order_by("pk")
    assert [event.new and event.new["helpful"] for event in said] == [True, False]


def test_marking_works_without_javascript(lease: Lease, document: Document, ann: Member) -> None:
    sent = {"lease": lease.pk, "document": document.pk, "helpful": "on"}
    response = client_of(ann).post(ADDRESS, sent)
    assert (response.status_code, response["Location"]) == (302, "/p/heron/annotate/")
    assert marks() == [("ann", "d1")]


def test_marking_twice_is_one_mark(lease: Lease, document: Document) -> None:
    for _ in range(2):
        mark_helpful(lease=lease, document=document, helpful=True)
    assert marks() == [("ann", "d1")]
    assert Event.objects.filter(verb="document_marked").count() == 1


def test_marks_of_others_are_not_shown(lease: Lease, document: Document, project: Project) -> None:
    mark_helpful(lease=lease, document=document, helpful=True)
    bob = make_member(project, username="bob")
    page = client_of(bob).get("/p/heron/annotate/").content.decode()
    assert 'aria-pressed="false"' in page
    assert 'aria-pressed="true"' not in page


def test_what_is_not_shown_cannot_be_marked(
    lease: Lease, document: Document, project: Project, ann: Member
) -> None:
    other = Document.objects.create(project=project, external_id="d2", text="t")
    with pytest.raises(ActionRefused, match="not shown"):
        mark_helpful(lease=lease, document=other, helpful=True)
    lease.visible = lease.visible | {"documents": False}
    lease.save()
    assert mark(client_of(ann), lease, document, helpful="on").status_code == 422
    assert marks() == []


def test_only_the_holder_of_the_lease_marks(
    lease: Lease, document: Document, project: Project
) -> None:
    bob = make_member(project, username="bob")
    stranger = make_member(make_project("other"), username="eve")
    assert mark(client_of(bob), lease, document, helpful="on").status_code == 409
    assert mark(client_of(stranger), lease, document, helpful="on").status_code == 404
    assert client_of(bob).post(ADDRESS, {"lease": "x"}).status_code == 409
    assert marks() == []


def test_a_blind_page_has_nothing_to_mark(project: Project, ann: Member) -> None:
    Project.objects.filter(pk=project.pk).update(blind_share=1.0)
    assisted(project)
    deferred(project)
    page = client_of(ann).get("/p/heron/annotate/").content.decode()
    assert 'class="helpful"' not in page


def test_the_method_of_retrieval_follows_settings_and_reranker(project: Project) -> None:
    seen = {retrieval_method(retrieval_settings(project))}
    for settings in ({"documents_kept": 3}, {"least_similarity": 0.2}, {"retrieve_for": "labels"}):
        change_settings(project=project, settings=settings, by="test")
        seen.add(retrieval_method(retrieval_settings(project)))
    make_artifact(project, "document_reranker", active=True)
    seen.add(retrieval_method(retrieval_settings(project)))
    assert len(seen) == 5
    assert retrieval_method(retrieval_settings(project)) in seen
