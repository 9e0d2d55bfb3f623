"""Ten texts labeled by somebody who knows only what the page says: how many keys each takes.

`docs/usability.md` shows what this prints with `-s`. A script presses the keys, so the seconds are
the page's own and not a person's, who also has to read and think.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from labeling.actions.guidelines import write_guidelines
from labeling.models import Annotation, Flag, Member, Project, Resolution, Skip
from tests.browser.test_features import sure_of
from tests.labeling.cast import deferred, ranked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

TEXTS = [f"text number {number}" for number in range(1, 12)]


class Newcomer:
    """Presses keys one by one, and counts them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.keys = 0
        self.rows: list[tuple[str, str, int, float]] = []

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def write(self, words: str) -> None:
        self.page.keyboard.type(words)
        self.keys += len(words)

    def does(self, what: str, how: str, act: Callable[[], None], then: str) -> None:
        """One thing to do, until the page shows the text `then`."""
        self.keys, start = 0, time.monotonic()
        act()
        expect(self.page.locator("#text")).to_contain_text(then)
        self.rows.append((what, how, self.keys, time.monotonic() - start))

    def report(self) -> str:
        lines = [f"| {what} | {how} | {n} | {s:.2f} |" for what, how, n, s in self.rows]
        total = sum(n for _what, _how, n, _s in self.rows)
        return "\n".join([*lines, f"| in all | | {total} | {sum(r[3] for r in self.rows):.2f} |"])


def test_ten_texts_take_a_newcomer_few_keys(page: Page, project: Project, ann: Member) -> None:
    Project.objects.update(double_check=True)
    for place, text in enumerate(TEXTS):
        task = deferred(project, text=text, priority=20.0 - place)
        ranked(task, "SIM not seen", "Activate a SIM", "Charged twice")
        if text == TEXTS[8]:
            sure_of(task, "Charged twice")
    write_guidelines(project=project, text="Label what is **wanted**.", by="test")
    page.goto("/p/heron/annotate/")
    hits = page.locator("#hits .choice")
    ann_does = Newcomer(page)

    def guidelines() -> None:
        ann_does.press("g")
        expect(page.get_by_text("wanted")).to_be_visible()
        ann_does.press("Escape", "1")

    def search() -> None:
        ann_does.press("/")
        ann_does.write("canc")
        expect(hits).to_have_count(1)
        ann_does.press("Enter")

    def compare() -> None:
        ann_does.press("e", "2")
        expect(page.locator("[popover]:popover-open h2")).to_have_text("Activate a SIM")
        ann_does.press("e", "2")

    def mend() -> None:
        ann_does.press("Backspace")
        expect(page.locator("#text")).to_contain_text("number 4")
        ann_does.press("3")

    def flag() -> None:
        ann_does.press("f")
        ann_does.write("two wishes")
        ann_does.press("Enter")
        expect(page.get_by_role("button", name="Flagged")).to_be_visible()
        ann_does.press("1")

    def doubt() -> None:
        ann_does.press("1")
        expect(page.locator("#doubt")).to_be_visible()
        ann_does.press("k")
        expect(page.locator("#doubt")).to_have_text("Your answer is kept.")

    press = ann_does.press
    for what, how, act, then in (
        ("read the guidelines, then answer", "`g` `Esc` `1`", guidelines, 2),
        ("take the first candidate", "`1`", lambda: press("1"), 3),
        ("take the third", "`3`", lambda: press("3"), 4),
        ("compare two cards, take the second", "`e` `2` `e` `2`", compare, 5),
        ("see a slip and mend it", "`⌫` `3`", mend, 5),
        ("find a label that is no candidate", "`/` `canc` `Enter`", search, 6),
        ("say that nobody can choose, and why", "`0` `2`", lambda: press("0", "2"), 7),
        ("flag with a note, then answer", "`f` 10 letters `Enter` `1`", flag, 8),
        ("skip, with the reason", "`s` `2`", lambda: press("s", "2"), 9),
        ("keep an answer that is asked about", "`1` `k`", doubt, 10),
    ):
        ann_does.does(what, how, act, TEXTS[then - 1])
    sys.stdout.write(f"\n{ann_does.report()}\n")
    assert [row[2] for row in ann_does.rows] == [3, 1, 1, 4, 2, 6, 2, 13, 2, 2]
    assert Annotation.objects.current().count() == 8
    assert (Flag.objects.count(), Skip.objects.count()) == (1, 1)
    assert Resolution.objects.filter(current=True).count() == 8
