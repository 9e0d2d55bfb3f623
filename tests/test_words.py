"""Whatever a person reads goes through gettext; every way past it is shown to be seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.utils.functional import lazystr
from django.utils.translation import get_language, override

from labeling.management.base import WordedCommand
from tests.architecture import SEAM, Source, sources, under
from tests.support import ROOT
from tests.template_words import untranslated
from tests.words import unwrapped

OURS = sorted(name for name, app in get_commands().items() if app == "labeling")
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*") if path.is_file())


def who_speak() -> list[Source]:
    """The modules that know Django: the cores are libraries, whose errors stay plain English."""
    return [
        source
        for source in sources("annotation_site", "labeling", "llm_worker")
        if not under(source.module, ("llm_worker",)) or under(source.module, SEAM)
    ]


def test_what_commands_refusals_and_messages_say_goes_through_gettext() -> None:
    assert len(OURS) > 10
    assert {f"labeling.management.commands.{name}" for name in OURS} <= {
        source.module for source in who_speak()
    }
    assert unwrapped(who_speak()) == []


@pytest.mark.parametrize(
    "planted",
    [
        'self.stdout.write("All is done.")',
        'self.stderr.write(f"{n} tasks done.")',
        'sys.stderr.write("All is " + state)',
        'self.stdout.write("%d tasks done." % n)',
        'self.stdout.write("{} tasks done.".format(n))',
        'self.stdout.write("\\n".join(["All is done."]))',
        'self.stdout.write(_("Done: %(what)s") % {"what": "no task at all"})',
        'self.stdout.write("All done" if n else _("Nothing to do"))',
        'self.stdout.write(_(f"{n} tasks done."))',
        'self.stdout.write(aligned("Seconds in all", n))',
        'said = "All is done."\nself.stdout.write(said)',
        'lines = [_("Done.")]\nlines.append("All is done.")\nraise CommandError("\\n".join(lines))',
        'for line in ("All is done.",):\n    self.stdout.write(line)',
        'DONE = "All is done."\ndef f(self):\n    self.stdout.write(DONE)',
        'WHY = {"a": "All is done."}\ndef f(self, key):\n    self.stdout.write(WHY[key])',
        'def f():\n    yield "All is done."\nfor line in f():\n    self.stdout.write(line)',
        'def say(what):\n    self.stderr.write(what)\nsay("All is done.")',
        "class C:\n    def say(self, what):\n        self.stderr.write(what)\n"
        '    def g(self):\n        self.say("All is done.")',
        'class C:\n    done = "All is done."\n    def g(self):\n'
        "        self.stdout.write(self.done)",
        'class Command(WordedCommand):\n    help = "Do it all."',
        'parser.add_argument("slug", help="address of the project")',
        'raise CommandError(f"There is no user “{name}”.")',
        'raise ActionRefused("There is no such label.")',
        'raise errors.ActionRefused(_("It is refused."), [Detail("This is why.", "field", 1)])',
        'class Late(ActionRefused):\n    pass\nraise Late("It came too late.")',
        'messages.success(request, f"{n} answers saved.")',
        'messages.add_message(request, messages.INFO, "All is saved.")',
        'self.message_user(request, "All is saved.")',
        'Error(_("It is missing."), hint="Put it there.")',
        "self.stdout.write('Всё готово.')",
    ],
)
def test_a_planted_sentence_is_found(planted: str) -> None:
    assert len(unwrapped([Source("labeling.planted", planted)])) == 1


@pytest.mark.parametrize(
    "right",
    [
        'self.stdout.write(_("All is done."))',
        'said = ngettext("%(n)d task done.", "%(n)d tasks done.", n)\n'
        'self.stdout.write(said % {"n": n})',
        'self.stdout.write(f"  {name:<10} {password}")',
        "self.stdout.write(json.dumps(report, indent=2))",
        'self.stdout.write("  " + _("coverage there: %(share)s") % {"share": shown})',
        'read = load(by="command line")\nself.stdout.write(_("%(n)d rows.") % {"n": read.rows})',
        'logger.warning("The broker did not take %s.", name)',
        'if state == "all is done":\n    raise CommandError(_("It is done already."))',
        'class Command(WordedCommand):\n    help = gettext_lazy("Do it all.")',
        'parser.add_argument("--part", help=_("part of the benchmark"), dest="the part")',
    ],
)
def test_what_is_translated_or_no_sentence_passes(right: str) -> None:
    assert unwrapped([Source("labeling.right", right)]) == []


def test_a_sentence_is_followed_into_the_module_it_comes_from() -> None:
    summary = Source("labeling.demo.summary", "def lines():\n    yield 'All is done.'")
    command = Source(
        "labeling.management.commands.demo",
        "from labeling.demo.summary import lines as said\n"
        "def handle(self):\n    for line in said():\n        self.stdout.write(line)",
    )
    assert unwrapped([command, summary]) == ["labeling.demo.summary:2 “All is done.”"]
    assert unwrapped([command]) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_template_translates_its_words(path: Path) -> None:
    assert untranslated(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        ("<p>All is done</p>", "All is done"),
        ("<button>Save</button>", "Save"),
        ("<p>{% translate 'Done' %} for now</p>", "for now"),
        ('<img src="x" alt="A chart">', "A chart"),
        ('<input placeholder="Search {{ n }} labels">', "Search  labels"),
        ('<p>{{ day|date:"j M Y"|default:"No day yet" }}</p>', "No day yet"),
        ('{% include "form.html" with button="Go on" %}', "Go on"),
    ],
)
def test_a_planted_word_of_a_template_is_found(planted: str, words: str) -> None:
    assert untranslated(planted) == [words]


@pytest.mark.parametrize(
    "right",
    [
        '<p title="{% translate "A title" %}">{% translate "All is done" %}</p>',
        "{% blocktranslate count n=n %}{{ n }} row{% plural %}{{ n }} rows{% endblocktranslate %}",
        '<p>{{ note|default:_("No note yet") }} {{ day|date:"j M Y" }}</p>',
        "<pre>python manage.py serve</pre> <kbd>Esc</kbd> → 5 {# a note #}",
        '{% url "labeling:home" as home %}<a class="plain link" href="{{ home }}">{{ name }}</a>',
    ],
)
def test_a_translated_template_passes(right: str) -> None:
    assert untranslated(right) == []


@pytest.mark.parametrize("name", OURS)
def test_every_command_shows_its_help(name: str) -> None:
    command = load_command_class("labeling", name)
    assert isinstance(command, WordedCommand)
    shown = " ".join(command.create_parser("manage.py", name).format_help().split())
    assert str(command.help) in shown


def test_help_speaks_the_language_of_the_moment_it_is_shown() -> None:
    class Command(WordedCommand):
        help = lazystr(Tongue())

    for language in ("en", "ru"):
        with override(language):
            assert f"spoken: {language}" in Command().create_parser("manage.py", "x").format_help()


class Tongue:
    def __str__(self) -> str:
        return f"spoken: {get_language()}"
