"""Each language says all that the code says, and what is compiled is what was written."""

from __future__ import annotations

import io

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.conf import settings
from django.utils.translation import to_locale

from tests.catalogues import compiled, messages_of, problems, read_back, said
from tests.support import ROOT

LOCALES = [to_locale(code) for code, _name in settings.LANGUAGES if code != "en"]
PENDING: tuple[str, ...] = ()
"""Languages that are being translated: not a word of theirs may be wrong, but many are missing."""


def catalogue(locale: str) -> Catalog:
    path = ROOT / "locale" / locale / "LC_MESSAGES" / "django.po"
    return read_po(io.BytesIO(path.read_bytes()), locale=locale, abort_invalid=True)


def test_the_site_speaks_three_languages_and_has_their_catalogues() -> None:
    assert LOCALES == ["ru", "zh_Hans"]
    assert sorted(path.name for path in (ROOT / "locale").iterdir()) == LOCALES


@pytest.mark.parametrize("locale", LOCALES)
def test_a_catalogue_says_all_that_the_code_says_and_nothing_else(locale: str) -> None:
    found = problems(catalogue(locale), said())
    if locale in PENDING:
        missing = ("missing", "nobody says", "not translated", "fuzzy")
        found = [problem for problem in found if not problem.startswith(missing)]
    assert found == [], f"run `make messages` and translate what locale/{locale} lacks"


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_was_written(locale: str) -> None:
    stands = (ROOT / "locale" / locale / "LC_MESSAGES" / "django.mo").read_bytes()
    assert read_back(stands) == read_back(compiled(catalogue(locale))), "run `make messages`"


def test_messages_are_found_in_code_and_templates() -> None:
    assert len(said()) > 1_500
    assert "Sign in" in said()
    assert ("%(shown)s text is resolved.", "%(shown)s texts are resolved.") in said()
    assert list(messages_of('x = ngettext("%(n)d row", "%(n)d rows", n)\ny = _("A " "label")')) == [
        ("%(n)d row", "%(n)d rows"),
        "A label",
    ]


HEADER = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 ? 0 : n%10<5 ? 1 : 2);\\n"

"""
RIGHT = """msgid "Label %(name)s"
msgstr "Метка %(name)s"

msgid "<b>%(n)d</b> row"
msgid_plural "<b>%(n)d</b> rows"
msgstr[0] "<b>%(n)d</b> строка"
msgstr[1] "<b>%(n)d</b> строки"
msgstr[2] "<b>%(n)d</b> строк"
"""
WANTED: list[tuple[str, ...] | str] = ["Label %(name)s", ("<b>%(n)d</b> row", "<b>%(n)d</b> rows")]


def planted(text: str) -> list[str]:
    return problems(read_po(io.BytesIO((HEADER + text).encode()), locale="ru"), WANTED)


def test_a_right_catalogue_passes() -> None:
    assert planted(RIGHT) == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ('msgid "Label %(name)s"', 'msgid "Name %(name)s"', "missing: Label %(name)s"),
        ('msgid "Label %(name)s"', 'msgid "Name %(name)s"', "nobody says: Name %(name)s"),
        ('msgid "Label', '#, fuzzy\nmsgid "Label', "fuzzy: Label %(name)s"),
        ("Метка %(name)s", "", "not translated: Label %(name)s"),
        ("Метка %(name)s", "Метка %(имя)s", "other placeholders: Label %(name)s"),
        ("Метка %(name)s", "Метка %(name)s ", "other spaces at its ends: Label %(name)s"),
        ("%(n)d</b> строки", "два</b> строки", f"other placeholders: {WANTED[1]}"),
        ("<b>%(n)d</b> строк", "<i>%(n)d</i> строк", f"other tags: {WANTED[1]}"),
        ('msgstr[2] "<b>%(n)d</b> строк"\n', "", f"not translated: {WANTED[1]}"),
        ("\nmsgid", '\n#~ msgid "Old"\n#~ msgstr "Старое"\n\nmsgid', "obsolete: Old"),
    ],
)
def test_a_fault_of_a_catalogue_is_found(right: str, wrong: str, problem: str) -> None:
    assert right in RIGHT
    assert problem in planted(RIGHT.replace(right, wrong, 1))
