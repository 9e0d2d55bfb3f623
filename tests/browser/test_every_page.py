"""Every page in every language, at both widths, in light and dark: no rule of accessibility broken,
nothing wider than the screen, nothing in the console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import axe_playwright_python
import pytest
from django.conf import settings
from django.test import Client
from django.urls import get_resolver, reverse
from playwright.sync_api import BrowserContext, Page

from tests.browser.everything import Everything, make_everything
from tests.url_rules import routes

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django.live_server_helper import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WIDTHS = (1280, 390)
FRAGMENTS = frozenset({"labels", "labeling_project_validators_progress", "snapshot_download"})
"""Routes whose answer to GET is a part of a page that is visited, or a file."""
DARK = {"ru": ["color-contrast"]}
"""The language whose pages are looked at in dark, and which rules may then judge otherwise."""
OWN_ADMIN = re.compile(r"labeling_project_(?!add|change|delete|history)")
BROKEN = """only => axe.run(document, only ? {runOnly: only} : {resultTypes: ['violations']}).then(
  found => found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html.slice(0, 160)
    + ' ' + ((node.any[0] || {}).message || '')).slice(0, 4).join(' | ')))"""
TOO_WIDE = """() => {
  const screen = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= screen) return [];
  return [...document.body.querySelectorAll('*')]
    .filter(one => one.getBoundingClientRect().right > screen + 1)
    .slice(0, 5).map(one => one.outerHTML.slice(0, 120));
}"""


@pytest.fixture
def everything(transactional_db: None) -> Everything:
    return make_everything()


def test_every_page_is_whole_for_everybody(
    browser: Browser, live_server: LiveServer, everything: Everything
) -> None:
    assert unvisited(everything) == []
    problems: list[str] = []
    for role, session in everything.sessions.items():
        context = browser.new_context(base_url=live_server.url, locale="en-US")
        if session:
            remember(context, live_server.url, settings.SESSION_COOKIE_NAME, session)
        paths = {name: path for name, (who, path) in everything.pages.items() if who == role}
        for language, _name in settings.LANGUAGES:
            remember(context, live_server.url, settings.LANGUAGE_COOKIE_NAME, language)
            for name, path in paths.items():
                with context.new_page() as page:
                    found = list(problems_of(page, path, language))
                problems += [f"{name} ({language}): {problem}" for problem in found]
        context.close()
    assert not problems, "\n".join(problems)


def unvisited(everything: Everything) -> list[str]:
    """Our routes that answer a GET and are neither visited nor a part of what is."""
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = everything.sessions["admin"]
    found = []
    for route in routes(get_resolver().url_patterns):
        ours = route.namespaces == ("labeling",) or OWN_ADMIN.match(route.name or "")
        if not ours or route.name in FRAGMENTS or route.name in everything.pages:
            continue
        known = {"slug": everything.project.slug}
        wanted = re.findall(r"<(?:\w+:)?(\w+)>", route.path)
        arguments = {name: known.get(name, everything.project.pk) for name in wanted}
        if "part" in arguments:
            arguments["part"] = "tune"
        path = reverse(":".join([*route.namespaces, str(route.name)]), kwargs=arguments)
        if client.get(path).status_code != 405:
            found.append(f"{route.name} is not visited: add it to everything.py")
    return found


def remember(context: BrowserContext, url: str, name: str, value: str) -> None:
    context.add_cookies([{"name": name, "value": value, "url": url}])


def problems_of(page: Page, path: str, language: str) -> Iterator[str]:
    """What is wrong with one page in one language, at both widths."""
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    scheme: Literal["light", "dark"] = "dark" if language in DARK else "light"
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    answer = page.goto(path)
    if answer is None or answer.status != 200:
        yield f"answered {answer and answer.status}"
    if page.locator("html").get_attribute("lang") != language:
        yield "speaks another language"
    if scheme == "dark" or language == settings.LANGUAGE_CODE:
        yield from (f"{scheme}: {one}" for one in broken_rules(page, DARK.get(language)))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        yield from (f"wider than {width} px: {one}" for one in page.evaluate(TOO_WIDE))
    yield from said


def broken_rules(page: Page, only: list[str] | None = None) -> list[str]:
    """Rules of accessibility that the page, as it stands, breaks."""
    page.evaluate(AXE)
    found: list[str] = page.evaluate(BROKEN, only)
    return found


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ("<img src='/static/favicon.svg'>", "image-alt"),
        ("<p style='color:#aaa;background:#fff'>Pale words</p>", "color-contrast"),
        ("<div style='width:2000px'>Broad</div>", "wider than 390 px"),
        ("<script>nothing.here</script>", "nothing is not defined"),
    ],
)
def test_a_broken_page_is_found(browser: Browser, html: str, problem: str) -> None:
    context = browser.new_context()
    head = "<!doctype html><html lang='en'><title>A page</title><main><h1>A page</h1>"
    context.route("**/*", lambda route: route.fulfill(content_type="text/html", body=head + html))
    found = list(problems_of(context.new_page(), "http://broken.test/", "en"))
    context.close()
    assert any(problem in one for one in found), found
