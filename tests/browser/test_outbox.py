"""Answers that cannot be sent: kept in the browser, sent later, never lost and never twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from labeling.actions.resolve import resolve
from labeling.models import Annotation, Label, Lease, Member, Project, Resolution, Skip, Task
from tests.browser.conftest import signed_in
from tests.browser.test_annotate import all_sent, open_queue, stayed, tasks  # noqa: F401
from tests.labeling.builders import label_of, make_member
from tests.labeling.cast import deferred, ranked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SECOND, THIRD = "took my money twice", "bye"
ANSWERS = "**/p/heron/annotate/"


@contextmanager
def cut(page: Page) -> Iterator[None]:
    """No answer reaches the server; pages do."""

    def handle(route: Route) -> None:
        if route.request.method == "POST":
            route.abort("connectionrefused")
        else:
            route.continue_()

    page.route(f"{ANSWERS}**", handle)
    yield
    page.unroute(f"{ANSWERS}**", handle)


def unsent(page: Page, n: int, why: str) -> None:
    expect(page.locator("#unsent")).to_contain_text(why)
    expect(page.locator("#unsent")).to_contain_text(f"to be sent: {n}.")


def text(page: Page, said: str) -> None:
    expect(page.locator("#desk #text")).to_contain_text(said)


def given() -> list[tuple[str, str | None]]:
    """Standing answers: the text and the label."""
    standing = Annotation.objects.current().order_by("pk")
    return list(standing.values_list("task__text", "label__name"))


@pytest.mark.usefixtures("tasks")
def test_work_goes_on_without_a_network_and_is_sent_once_it_is_back(page: Page) -> None:
    open_queue(page)
    page.context.set_offline(True)
    page.keyboard.press("1")
    text(page, SECOND)
    unsent(page, 1, "cannot be reached")
    page.keyboard.press("3")
    text(page, THIRD)
    page.keyboard.press("2")
    text(page, "The next text is on its way")
    unsent(page, 3, "cannot be reached")
    assert not Annotation.objects.exists()
    page.context.set_offline(False)
    text(page, "Nothing waits for you")
    expect(page.locator("#unsent")).to_have_text("All your answers are sent.")
    labels = [label for _text, label in given()]
    assert labels == ["SIM not seen", "Charged twice", "Activate a SIM"]
    assert stayed(page)


@pytest.mark.usefixtures("tasks")
def test_answers_survive_a_reload_which_asks_first(page: Page) -> None:
    open_queue(page)
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    with cut(page):
        page.keyboard.press("1")
        page.keyboard.press("3")
        unsent(page, 2, "cannot be reached")
        page.reload()
        assert asked == ["beforeunload"]
        text(page, THIRD)
        unsent(page, 2, "cannot be reached")
    all_sent(page)
    assert [label for _text, label in given()] == ["SIM not seen", "Charged twice"]
    text(page, THIRD)


@pytest.mark.usefixtures("tasks")
def test_an_answer_that_waits_is_taken_back_before_the_server_hears_of_it(page: Page) -> None:
    open_queue(page)
    with cut(page):
        page.keyboard.press("1")
        unsent(page, 1, "cannot be reached")
        page.keyboard.press("Backspace")
        text(page, "my phone sees no card")
        expect(page.locator("#desk .choice[data-chosen] .name")).to_have_text("SIM not seen")
        all_sent(page)
        page.keyboard.press("2")
    all_sent(page)
    assert [label for _text, label in given()] == ["Activate a SIM"]
    assert Annotation.objects.count() == 1


@pytest.mark.usefixtures("tasks")
def test_taking_back_what_was_sent_waits_in_its_turn(page: Page) -> None:
    open_queue(page)
    page.keyboard.press("1")
    all_sent(page)
    with cut(page):
        page.keyboard.press("Backspace")
        text(page, "my phone sees no card")
        page.keyboard.press("2")
        text(page, SECOND)
        unsent(page, 2, "cannot be reached")
    all_sent(page)
    assert given() == [("my phone sees no card", "Activate a SIM")]
    assert Annotation.objects.count() == 2
    assert Annotation.objects.current().get().visible["candidates"]


@pytest.mark.usefixtures("tasks")
def test_after_an_ended_session_answers_are_sent_as_the_same_member(page: Page) -> None:
    open_queue(page)
    Session.objects.all().delete()
    page.keyboard.press("2")
    text(page, SECOND)
    unsent(page, 1, "session has ended")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in").click()
    tab = opened.value
    sign_in_there(tab, "ann")
    tab.wait_for_url("**/annotate/")
    all_sent(page)
    assert [label for _text, label in given()] == ["Activate a SIM"]


def sign_in_there(tab: Page, name: str) -> None:
    tab.get_by_label("Login").fill(name)
    tab.get_by_label("Password").fill("password")
    tab.keyboard.press("Enter")


def test_somebody_else_who_signs_in_never_sends_them(
    page: Page,
    tasks: list[Task],  # noqa: F811
) -> None:
    make_member(tasks[0].project, username="bob")
    open_queue(page)
    Session.objects.all().delete()
    page.keyboard.press("2")
    unsent(page, 1, "session has ended")
    tab = page.context.new_page()
    tab.goto("/accounts/login/?next=/p/heron/annotate/")
    sign_in_there(tab, "bob")
    tab.wait_for_url("**/annotate/")
    expect(tab.locator("#unsent")).to_be_empty()
    expect(page.locator("#unsent")).to_contain_text("Somebody else is signed in")
    assert not Annotation.objects.exists()


@pytest.mark.usefixtures("tasks")
def test_signing_out_asks_and_throws_away(page: Page) -> None:
    open_queue(page)
    with cut(page):
        page.keyboard.press("1")
        unsent(page, 1, "cannot be reached")
        page.once("dialog", lambda dialog: dialog.dismiss())
        page.get_by_role("button", name="Sign out").click()
        unsent(page, 1, "cannot be reached")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/accounts/login/**")
        assert page.evaluate("Object.keys(localStorage).length") == 0


@pytest.mark.usefixtures("tasks")
def test_a_failing_server_gets_the_answer_again(page: Page) -> None:
    open_queue(page)
    times: list[int] = []

    def fail_once(route: Route) -> None:
        times.append(1)
        if len(times) == 1:
            route.fulfill(status=500, body="no")
        else:
            route.continue_()

    page.route(ANSWERS, fail_once)
    page.keyboard.press("1")
    text(page, SECOND)
    unsent(page, 1, "The server failed")
    all_sent(page)
    assert len(times) == 2
    assert [label for _text, label in given()] == ["SIM not seen"]


@pytest.mark.usefixtures("tasks")
def test_a_reply_that_gets_lost_makes_no_second_answer(page: Page) -> None:
    open_queue(page)
    statuses: list[int] = []

    def drop_first_reply(route: Route) -> None:
        statuses.append(route.fetch().status)
        if len(statuses) == 1:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(ANSWERS, drop_first_reply)
    page.keyboard.press("1")
    unsent(page, 1, "cannot be reached")
    assert Annotation.objects.count() == 1
    all_sent(page)
    assert statuses == [200, 200]
    assert Annotation.objects.count() == 1
    text(page, SECOND)


@pytest.mark.usefixtures("tasks")
def test_a_slow_server_is_not_waited_for(page: Page) -> None:
    open_queue(page)

    def dawdle(route: Route) -> None:
        time.sleep(1.5)
        route.continue_()

    page.route(ANSWERS, dawdle)
    page.evaluate(
        """() => {
          const seen = document.querySelector('#desk');
          document.addEventListener('keydown', (event) => {
            new MutationObserver((_all, watch) => {
              window.waited = performance.now() - event.timeStamp; watch.disconnect();
            }).observe(seen, {childList: true});
          }, {capture: true, once: true});
        }"""
    )
    page.keyboard.press("1")
    text(page, SECOND)
    assert page.evaluate("window.waited") < 1000
    all_sent(page)
    assert len(given()) == 1


@pytest.mark.usefixtures("tasks")
def test_a_skip_brings_no_text_back_whose_answer_is_on_its_way(page: Page) -> None:
    open_queue(page)
    under_way: list[Route] = []
    page.route(ANSWERS, lambda route: under_way.append(route))
    page.keyboard.press("1")
    text(page, SECOND)
    with page.expect_response("**/annotate/skip/") as replied:
        page.keyboard.press("s")
        page.keyboard.press("2")
    assert "my phone sees no card" not in replied.value.text()
    text(page, THIRD)
    for route in under_way:
        route.continue_()
    all_sent(page)
    text(page, THIRD)
    assert [label for _text, label in given()] == ["SIM not seen"]
    assert Skip.objects.get().task.text == SECOND


def test_a_text_settled_meanwhile_keeps_the_answer_beside_it_or_leaves_the_page(
    page: Page,
    tasks: list[Task],  # noqa: F811
) -> None:
    open_queue(page)
    for task in (tasks[0], tasks[2]):
        label = label_of(task.project, "Eta")
        resolve(task=task, source="override", by="test", label=label)
    page.keyboard.press("1")
    expect(page.locator("#notice")).to_contain_text("settled meanwhile; your answer is kept")
    text(page, SECOND)
    expect(page.locator("#ahead > template")).to_have_count(0)
    page.keyboard.press("1")
    text(page, "Nothing waits for you")
    labels = Resolution.objects.current().order_by("task").values_list("label__name", flat=True)
    assert list(labels) == ["Eta", "SIM not seen", "Eta"]


def test_an_answer_to_an_old_text_is_not_taken_and_the_new_text_comes(
    page: Page,
    tasks: list[Task],  # noqa: F811
) -> None:
    open_queue(page)
    Task.objects.filter(pk=tasks[0].pk).update(text="a better text", revision=2)
    page.keyboard.press("1")
    expect(page.locator("#notice")).to_contain_text("The text changed while you read it")
    text(page, SECOND)
    expect(page.locator(f'#ahead > template[data-task="{tasks[0].pk}"]')).to_have_count(1)
    page.keyboard.press("1")
    text(page, THIRD)
    page.keyboard.press("1")
    text(page, "a better text")
    all_sent(page)
    assert Annotation.objects.count() == 2


def test_a_label_retired_meanwhile_is_not_taken_and_the_text_comes_again(
    page: Page,
    tasks: list[Task],  # noqa: F811
) -> None:
    open_queue(page)
    Label.objects.filter(name="SIM not seen").update(retired_at=timezone.now())
    page.keyboard.press("1")
    expect(page.locator("#notice")).to_contain_text("not one of the project's labels now")
    expect(page.locator("#notice")).to_contain_text("Its text comes again")
    expect(page.locator(f'#ahead > template[data-task="{tasks[0].pk}"]')).to_have_count(1)
    assert not Annotation.objects.exists()


@pytest.mark.usefixtures("tasks")
def test_a_text_answered_in_one_window_leaves_the_other(page: Page) -> None:
    open_queue(page)
    other = page.context.new_page()
    other.goto("/p/heron/annotate/")
    text(other, "my phone sees no card")
    page.bring_to_front()
    page.keyboard.press("1")
    text(page, SECOND)
    text(other, SECOND)
    expect(other.locator("#announce")).to_contain_text("answered in another window")
    all_sent(page)
    assert len(given()) == 1


@pytest.mark.usefixtures("ann")
def test_two_people_race_for_one_text_and_both_answers_are_kept(
    page: Page, project: Project, browser: Browser
) -> None:
    ranked(deferred(project, text="the only one"), "SIM not seen", "Charged twice")
    make_member(project, username="bob")
    with signed_in(browser, page.evaluate("location.origin"), "bob") as bobs:
        for one in (page, bobs):
            one.goto("/p/heron/annotate/")
            text(one, "the only one")
        page.keyboard.press("1")
        bobs.keyboard.press("1")
        for one in (page, bobs):
            text(one, "Nothing waits for you")
    assert Annotation.objects.current().count() == 2
    assert Resolution.objects.current().get().label == label_of(project, "SIM not seen")


def test_leaving_the_page_frees_what_it_held(page: Page, tasks: list[Task], ann: Member) -> None:  # noqa: F811
    open_queue(page)
    assert Lease.objects.live().count() == len(tasks)
    page.goto("/p/heron/history/")
    deadline = time.monotonic() + 20
    while Lease.objects.live().filter(member=ann).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
