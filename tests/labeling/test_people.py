"""Who is in a project: invitations by link, roles, and what stays of who leaves."""

from __future__ import annotations

import datetime
import re
import smtplib
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.test import Client
from django.utils import timezone

from labeling.actions.erase import erase_task
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task
from labeling.actions.people import (
    accept_invitation,
    change_role,
    end_membership,
    invite,
    revoke_invitation,
)
from labeling.actions.snapshots import ask_snapshot
from labeling.formats.selection import SelectionForm
from labeling.models import Event, Invitation, Member, Project, Registration, User
from tests.labeling.builders import make_member, make_project, make_user
from tests.labeling.cast import deferred, say
from tests.labeling.planted import where_it_is_said
from tests.labeling.test_pages import client_of, page

pytestmark = pytest.mark.django_db
PEOPLE = "/p/heron/people/"
NEW = {"username": "nora", "password1": "kestrel-over-7", "password2": "kestrel-over-7"}


@pytest.fixture
def project() -> Project:
    return make_project("heron", blind_share=0.0)


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada")


def link_in(html: str) -> str:
    found = re.search(r"http://testserver(/invitation/[\w-]{40,}/)", html)
    assert found is not None
    return found[1]


def invited(admin: Member, **given: Any) -> str:
    """Make an invitation on the page; the path of its link."""
    sent = {"role": "regular", "email": "", "days": "14"} | given
    response = client_of(admin).post(PEOPLE, sent)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return link_in(response.content.decode())


@pytest.mark.parametrize(("role", "status"), [("regular", 403), ("expert", 403), ("admin", 200)])
def test_only_admins_see_the_people_and_their_link(
    project: Project, role: str, status: int
) -> None:
    member = make_member(project, role)
    page(member, PEOPLE, status)
    page(member, "/p/heron/settings/", status)
    if status == 200:
        assert PEOPLE in page(member, "/p/heron/settings/")
    page(make_member(make_project("other"), "admin"), PEOPLE, 404)


@pytest.mark.parametrize("role", ["regular", "expert"])
def test_others_change_nobody(project: Project, ada: Member, role: str) -> None:
    client = client_of(make_member(project, role))
    invitation, _secret = invite(project=project, role="regular", by=ada)
    for path in ("", f"{ada.pk}/role/", f"{ada.pk}/end/", f"invitations/{invitation.pk}/revoke/"):
        assert client.post(PEOPLE + path, {"role": "regular"}).status_code == 403


def test_an_admin_of_another_project_reaches_no_member_here(project: Project, ada: Member) -> None:
    stranger = client_of(make_member(make_project("other"), "admin"))
    for path in (f"{ada.pk}/role/", f"{ada.pk}/end/"):
        response = stranger.post(f"/p/other/people/{path}", {"role": "regular"})
        assert response.status_code == 404


def test_the_list_says_who_is_in_with_role_and_answers(project: Project, ada: Member) -> None:
    ann = make_member(project, username="ann")
    for _answer in range(2):
        say(ann, deferred(project), "a")
    html = page(ada, PEOPLE)
    row = html[html.index("<b>ann</b>") :]
    assert '<option value="regular" selected>' in row
    assert '<td class="number">2</td>' in row


def test_a_role_is_changed_and_history_says_so(project: Project, ada: Member) -> None:
    ann = make_member(project, username="ann")
    response = client_of(ada).post(f"{PEOPLE}{ann.pk}/role/", {"role": "expert"}, follow=True)
    assert "ann has the role “expert” now" in response.content.decode()
    ann.refresh_from_db()
    assert ann.role == "expert"
    event = Event.objects.get(verb="role_changed")
    assert (event.member, event.old, event.new) == (ada, {"role": "regular"}, {"role": "expert"})
    with pytest.raises(ActionRefused, match="no such role"):
        change_role(member=ann, role="king", by=ada)


def test_the_last_admin_neither_goes_nor_steps_down(project: Project, ada: Member) -> None:
    make_member(project, "admin", user_only := "sim", is_simulated=True)
    Member.objects.filter(name=user_only).update(user=None)
    html = client_of(ada).post(f"{PEOPLE}{ada.pk}/end/", follow=True).content.decode()
    assert "ada is the last admin" in html
    with pytest.raises(ActionRefused, match="last admin"):
        change_role(member=ada, role="expert", by=ada)
    make_member(project, "admin", "bob")
    response = client_of(ada).post(f"{PEOPLE}{ada.pk}/end/")
    assert response["Location"] == "/"
    page(ada, "/p/heron/", 404)


def test_history_names_who_left_no_more_and_keeps_the_answers(
    project: Project, ada: Member
) -> None:
    ann = make_member(project, username="ann")
    task = deferred(project)
    say(ann, task, "a")
    deferred(project)
    assert next_task(member=ann) is not None
    _invitation, secret = invite(project=project, role="regular", by=ann)
    end_membership(member=ann, by=ada)
    ann.refresh_from_db()
    assert ann.name == f"Former member {ann.pk}"
    assert not Event.objects.filter(actor="ann").exists()
    assert "'ann'" not in str(list(Event.objects.values_list("old", "new")))
    assert task.annotations.current().count() == 1
    assert not ann.leases.exists()
    assert Invitation.objects.of(secret) is None
    html = page(ada, PEOPLE)
    assert ann.name in html
    assert ">ann<" not in html
    with pytest.raises(Conflict, match="has left"):
        end_membership(member=ann, by=ada)


def test_no_row_names_who_left(project: Project, ada: Member) -> None:
    """Whatever keeps who did it in words beside the member."""
    ann = make_member(project, "admin", "ann", name="Ann Zimmermann")
    task, snapshot = deferred(project), SelectionForm({}, project=project)
    assert snapshot.is_valid()
    ask_snapshot(form=snapshot, note="", by=ann)
    erase_task(task=task, confirm=task.external_id, reason="asked", by=ann)
    Registration.objects.create(project=project, options={}, asked_by=ann, actor=ann.name)
    assert len(where_it_is_said(Path("none"), "Zimmermann")) > 3
    end_membership(member=ann, by=ada)
    assert where_it_is_said(Path("none"), "Zimmermann") == set()


def test_who_comes_back_is_the_same_member_under_their_name(project: Project, ada: Member) -> None:
    ann = make_member(project, username="ann")
    end_membership(member=ann, by=ada)
    _invitation, secret = invite(project=project, role="expert", by=ada)
    assert ann.user is not None
    again = accept_invitation(secret=secret, user=ann.user)
    assert (again.pk, again.name, again.role) == (ann.pk, "ann", "expert")


def test_only_the_hash_of_a_link_is_stored_and_it_is_shown_once(
    project: Project, ada: Member
) -> None:
    path = invited(ada)
    secret = path.split("/")[2]
    invitation = Invitation.objects.get()
    assert secret not in str([*Invitation.objects.values(), *Event.objects.values()])
    assert len(invitation.digest) == 64
    assert secret not in page(ada, PEOPLE)


def test_a_signed_in_user_joins_by_link_once(project: Project, ada: Member) -> None:
    path = invited(ada, role="expert")
    client = Client()
    client.force_login(user := make_user("bob"))
    html = client.get(path).content.decode()
    assert "You are invited to “Heron”" in html
    assert client.get("/p/heron/").status_code == 404
    assert client.post(path)["Location"] == "/p/heron/"
    assert Member.objects.get(user=user).role == "expert"
    event = Event.objects.get(verb="invitation_accepted")
    assert event.actor == "bob"
    client.force_login(make_user("carl"))
    assert client.get(path).status_code == 410
    assert client.post(path).status_code == 410
    assert not Member.objects.filter(name="carl").exists()


def test_a_new_account_comes_with_the_invitation_and_uses_it_up(
    project: Project, ada: Member
) -> None:
    client = Client()
    path = invited(ada)
    assert "Nobody signs up alone" in client.get("/accounts/signup/").content.decode()
    assert client.post("/accounts/signup/", NEW).status_code == 200
    assert not User.objects.filter(username="nora").exists()
    assert "/accounts/signup/" in client.get(path).content.decode()
    response = client.post("/accounts/signup/", NEW)
    assert response.status_code == 302
    member = Member.objects.get(user__username="nora")
    assert (member.role, member.project) == ("regular", project)
    assert client.get("/p/heron/").status_code == 200
    late = Client()
    assert late.get(path).status_code == 410
    late.post("/accounts/signup/", NEW | {"username": "late"})
    assert not User.objects.filter(username="late").exists()


def test_of_two_who_sign_up_by_one_link_one_gets_an_account(project: Project, ada: Member) -> None:
    path = invited(ada)
    first, second = Client(), Client()
    first.get(path)
    second.get(path)
    first.post("/accounts/signup/", NEW)
    second.post("/accounts/signup/", NEW | {"username": "late"})
    assert set(User.objects.values_list("username", flat=True)) == {"ada", "nora"}


def test_a_weak_password_makes_no_account_and_keeps_the_invitation(
    project: Project, ada: Member
) -> None:
    client = Client()
    client.get(path := invited(ada))
    weak = {"username": "nora", "password1": "12345678", "password2": "12345678"}
    assert "too common" in client.post("/accounts/signup/", weak).content.decode()
    assert Invitation.objects.of(path.split("/")[2]) is not None


def test_an_invitation_for_an_address_is_for_that_address(project: Project, ada: Member) -> None:
    path = invited(ada, email="nora@example.org")
    client = Client()
    client.force_login(make_user("bob", email="bob@example.org"))
    response = client.post(path)
    assert response.status_code == 422
    assert "another e-mail address" in response.content.decode()
    client.logout()
    client.get(path)
    other = NEW | {"email": "bob2@example.org"}
    assert "for another address" in client.post("/accounts/signup/", other).content.decode()
    client.post("/accounts/signup/", NEW | {"email": "Nora@Example.org"})
    assert Member.objects.filter(user__username="nora").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda i: Invitation.objects.update(expires_at=timezone.now() - datetime.timedelta(1)),
        lambda i: revoke_invitation(invitation=i, by=i.invited_by),
        lambda i: Project.objects.update(archived_at=timezone.now()),
    ],
    ids=["expired", "withdrawn", "archived"],
)
def test_a_link_that_holds_no_more_lets_nobody_in(
    project: Project, ada: Member, change: Any
) -> None:
    invitation, secret = invite(project=project, role="regular", by=ada)
    change(invitation)
    with pytest.raises(ActionRefused, match="used or withdrawn, or is too old"):
        accept_invitation(secret=secret, user=make_user())
    assert Client().get(f"/invitation/{secret}/").status_code == 410


def test_who_is_in_already_does_not_use_the_link_up(project: Project, ada: Member) -> None:
    _invitation, secret = invite(project=project, role="regular", by=ada)
    assert ada.user is not None
    with pytest.raises(Conflict, match="in this project already"):
        accept_invitation(secret=secret, user=ada.user)
    assert Invitation.objects.of(secret) is not None


def test_an_accepted_invitation_is_not_withdrawn(project: Project, ada: Member) -> None:
    invitation, secret = invite(project=project, role="regular", by=ada)
    accept_invitation(secret=secret, user=make_user())
    client = client_of(ada)
    path = f"{PEOPLE}invitations/{invitation.pk}/revoke/"
    assert "accepted already" in client.post(path, follow=True).content.decode()


def test_open_invitations_are_listed_withdrawn_and_bounded(
    project: Project, ada: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeling.actions.people.MOST_OPEN", 1)
    invited(ada, email="nora@example.org")
    client = client_of(ada)
    response = client.post(PEOPLE, {"role": "regular", "days": "14"})
    assert response.status_code == 422
    assert "Withdraw some first" in response.content.decode()
    path = f"{PEOPLE}invitations/{Invitation.objects.get().pk}/revoke/"
    assert "nora@example.org" not in client.post(path, follow=True).content.decode()
    assert Event.objects.filter(verb="invitation_revoked").exists()


def test_a_letter_takes_the_link_where_the_site_sends_letters(
    project: Project, ada: Member, settings: LazySettings
) -> None:
    settings.EMAIL_URL = "smtp://mail.example.org"
    sent = {"role": "regular", "email": "nora@example.org", "days": "3"}
    html = client_of(ada).post(PEOPLE, sent).content.decode()
    assert "on its way to nora@example.org" in html
    assert "/invitation/" not in html
    (letter,) = mail.outbox
    assert letter.to == ["nora@example.org"]
    assert Client().get(link_in(str(letter.body))).status_code == 200


def test_a_letter_that_cannot_be_sent_leaves_the_link_to_copy(
    project: Project, ada: Member, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_URL = "smtp://mail.example.org"

    def fails(*args: object, **more: object) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr("labeling.letters.send_mail", fails)
    sent = {"role": "regular", "email": "nora@example.org", "days": "3"}
    html = client_of(ada).post(PEOPLE, sent).content.decode()
    assert "could not be sent" in html
    assert Client().get(link_in(html)).status_code == 200
