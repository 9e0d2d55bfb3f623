"""Annotators for the benchmark of the labeling page: over HTTP, and one in a real browser."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np

if TYPE_CHECKING:
    from labeling.models import Member

FIELDS = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')
CHOICE = re.compile(r'name="choice" value="(label:\d+)"')
LOOK_EVERY = 5
# From the key to the frame after the one in which another text stands on the desk.
WATCH = """() => {
  window.painted = [];
  let pressed = null;
  addEventListener("keydown", (event) => { pressed = event.timeStamp; }, {capture: true});
  const after = () => {
    const {port1, port2} = new MessageChannel();
    port1.onmessage = () => { window.painted.push(performance.now() - pressed); pressed = null; };
    port2.postMessage(0);
  };
  new MutationObserver(() => {
    if (pressed !== null && document.querySelector("#desk #answer")) requestAnimationFrame(after);
  }).observe(document.querySelector("#desk"), {childList: true});
}"""


@dataclass
class Seen:
    """What one or more annotators met: milliseconds by what they did, and the `client_id` of each
    answer that the server said it had."""

    next_task: list[float] = field(default_factory=list)
    submit: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    def add(self, other: Seen) -> None:
        self.next_task += other.next_task
        self.submit += other.submit
        self.acknowledged += other.acknowledged


def session_of(member: Member) -> str:
    """A session in which the member is signed in, as a cookie's value."""
    from django.test import Client

    client = Client()
    assert member.user is not None
    client.force_login(member.user)
    return client.cookies["sessionid"].value


class Annotator:
    """Answers over HTTP as the page's script does, with the tasks that it holds."""

    def __init__(self, address: str, path: str, session: str) -> None:
        self.path = path
        self.client = httpx2.Client(
            base_url=address,
            cookies={"sessionid": session},
            headers={"HX-Request": "true"},
            timeout=60,
            # The server closes what is idle for two seconds; people think for longer.
            limits=httpx2.Limits(keepalive_expiry=1.0),
        )
        self.seen = Seen()
        self.held: list[dict[str, str]] = []

    def look(self) -> None:
        """Load the work anew: the tasks at hand are those that the server gives."""
        self.held = []
        self._take(self._timed("GET", self.seen.next_task))

    def answer(self) -> bool:
        """Answer the first task; False where none is left."""
        if not self.held:
            self.look()
        if not self.held:
            return False
        given = self.held.pop(0) | {"client_id": str(uuid.uuid4()), "seconds": "2.5"}
        held = [one["lease"] for one in self.held]
        self._take(self._timed("POST", self.seen.submit, data={**given, "held": held}))
        self.seen.acknowledged.append(given["client_id"])
        return True

    def work(self, until: float, pause: float, rng: np.random.Generator) -> None:
        """Answer until `until`, with pauses of `pause` seconds on average."""
        self.look()
        done = 0
        while time.monotonic() < until and self.answer():
            done += 1
            if done % LOOK_EVERY == 0:
                self.look()
            if pause:
                time.sleep(float(rng.gamma(4.0, pause / 4.0)))
        self.client.close()

    def _timed(self, method: str, spent: list[float], **sent: Any) -> str:
        token = self.client.cookies.get("csrftoken") or ""
        started = time.perf_counter()
        reply = self.client.request(method, self.path, headers={"X-CSRFToken": token}, **sent)
        spent.append((time.perf_counter() - started) * 1000)
        reply.raise_for_status()
        return str(reply.text)

    def _take(self, html: str) -> None:
        for form in html.split('id="answer"')[1:]:
            form = form[: form.index("</form>")]
            choices = CHOICE.findall(form) or ["unk:none_fits"]
            self.held.append(dict(FIELDS.findall(form)) | {"choice": choices[0]})


@contextmanager
def browser_page(address: str, path: str, session: str) -> Iterator[Any]:
    """The labeling page in Chromium, signed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium())
        context = browser.new_context(base_url=address)
        context.add_cookies([{"name": "sessionid", "value": session, "url": address}])
        page = context.new_page()
        page.goto(path)
        page.wait_for_selector("#desk #answer")
        yield page
        browser.close()


def chromium() -> str | None:
    """The browser of the machine where there is one, else Playwright's own."""
    import shutil

    return shutil.which("chromium")


def key_to_paint(page: Any, until: float, pause: float, rng: np.random.Generator) -> list[float]:
    """Milliseconds from the key to the next text on the screen."""
    page.evaluate(WATCH)
    pressed = 0
    while time.monotonic() < until:
        if not page.evaluate("!!document.querySelector('#desk .candidate')"):
            page.keyboard.press("0")  # a repeated text, of which no machine said anything
        page.keyboard.press("1")
        pressed += 1
        page.wait_for_function("n => window.painted.length >= n", arg=pressed, timeout=60_000)
        time.sleep(float(rng.gamma(4.0, pause / 4.0)))
    page.wait_for_function("document.documentElement.dataset.outbox === '0'", timeout=60_000)
    return [float(value) for value in page.evaluate("window.painted")]
