"""What the documentation names exists: links, commands, make targets, settings, addresses."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class
from django.urls import resolve

from bench import demo_data
from labeling.demo import data
from tests.support import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = [path for path in DOCUMENTS if path.parent.name == "decisions"]
PAGES = (
    r"(?:127\.0\.0\.1:8000)?"
    r"(/(?:admin|api/v1|p|account|healthz|readyz|metrics(?!\.(?:md|py)\b))\b[^\s`)\"|]*)"
)
# What answers for addresses that lead nowhere: ours below /api/v1/, and the admin's.
NO_PAGE = ("nothing_here", "catch_all_view")

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def code_of(text: str) -> Iterator[str]:
    """Lines of code blocks, continuations joined, and inline code outside of them."""
    prose, fenced, blocks = [], False, []
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            blocks.append(line.strip())
        else:
            prose.append(line)
    yield from re.sub(r"\\\n\s*", "", "\n".join(blocks)).splitlines()
    yield from re.findall(r"`([^`\n]+)`", "\n".join(prose))


def commands_in(text: str) -> Iterator[list[str]]:
    """The words after manage.py, and of inline code that starts with one of our commands."""
    ours = [name for name, app in get_commands().items() if app == "labeling"]
    for code in code_of(text):
        for found in re.findall(r"manage\.py ([^#)|]+)", code):
            yield shlex.split(found)
        first, _space, rest = code.partition(" ")
        if first in ours and rest and "=" not in rest.split(" ")[0]:  # the shell has an export too
            yield shlex.split(code)


@cache
def parser_of(command: str) -> argparse.ArgumentParser:
    return load_command_class(get_commands()[command], command).create_parser("manage.py", command)


def missing_links(path: Path, text: str) -> list[str]:
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    local = [target for target in targets if not re.match(r"[a-z]+:|#", target)]
    return [target for target in local if not (path.parent / target.partition("#")[0]).exists()]


@each_document
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    assert missing_links(path, path.read_text("utf-8")) == []


@each_document
def test_every_command_line_is_one_that_its_command_takes(path: Path) -> None:
    for words in commands_in(path.read_text("utf-8")):
        assert words[0] in get_commands(), f"there is no command {words[0]}"
        parser_of(words[0]).parse_args(words[1:])


@each_document
def test_every_make_target_and_variable_is_in_the_makefile(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    variables = set(re.findall(r"^([A-Z]+)\s*\?=", makefile, re.M))
    for code in code_of(path.read_text("utf-8")):
        if match := re.match(r"make ([^#|&]+)", code):
            for word in shlex.split(match[1]):
                name, given, _value = word.partition("=")
                assert name in (variables if given else targets), f"make {word}"


@each_document
def test_every_benchmark_named_has_the_options_named(path: Path) -> None:
    for code in code_of(path.read_text("utf-8")):
        if match := re.search(r"-m bench\.([a-z_]+)(.*)", code):
            source = (ROOT / "bench" / f"{match[1]}.py").read_text("utf-8")
            for option in re.findall(r"--[a-z-]+", match[2]):
                assert f'"{option}"' in source, code


@each_document
def test_every_address_leads_to_a_page(path: Path) -> None:
    for found in re.findall(PAGES, path.read_text("utf-8")):
        address = re.sub(r"<[a-z]+>", "1", found).rstrip(".,;>")
        address += "/" if address.startswith("/api/") and not address.endswith("/") else ""
        if address != "/api/v1/":  # what every address begins with
            assert resolve(address).func.__name__ not in NO_PAGE, address


def variables_read() -> set[str]:
    """Names that settings.py reads through `env.env_...("NAME", ...)`."""
    tree = ast.parse((ROOT / "annotation_site" / "settings.py").read_text("utf-8"))
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith("env_")
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_the_table_of_settings_has_the_variables_that_settings_reads() -> None:
    text = (ROOT / "docs" / "operating.md").read_text("utf-8")
    section = text.partition("## Settings")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.M)) == variables_read()


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_short_and_names_what_was_rejected(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.split()) < 400
    assert len(re.findall(r"^- \*", text.partition("**Rejected.**")[2], re.M)) >= 2


def test_the_readme_is_short_and_starts_with_its_two_commands() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) < 120
    assert [line.split()[:2] for line in lines if line][1:3] == [["make", "demo"], ["make", "test"]]


def test_the_predictions_of_the_readme_name_labels_of_the_demo() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    body = json.loads(re.findall(r"-d '(.+?)'", text, re.S)[0])
    keys = {label["key"] for label in data.labels()}
    assert body["items"]
    assert all(set(item["logits"]) <= keys for item in body["items"])


def test_the_data_card_has_the_splits_of_the_files() -> None:
    text = (ROOT / "docs" / "demo-data.md").read_text("utf-8")
    found = demo_data.splits(data.texts(*demo_data.SPLITS))
    rows = {
        split: [int(cell) for cell in cells.split("|")]
        for split, cells in re.findall(r"^\| ([a-z]+) \|((?: \d+ \|){4} \d+) \|", text, re.M)
    }
    assert rows == {
        split: [row[name] for name in ("rows", "label", "unk", "conf", "russian")]
        for split, row in found.items()
    }


def test_the_tutorial_walks_the_whole_way() -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    used = [words[0] for words in commands_in(text)]
    way = ["create_project", "import_documents", "import_benchmark", "train_classifier"]
    way += ["train_validators", "classify", "run_pipeline", "fit_policy", "export"]
    assert [command for command in dict.fromkeys(used) if command in way] == way


def test_what_answers_for_dead_addresses_is_known() -> None:
    assert [resolve(path).func.__name__ for path in ("/api/v1/gone/", "/admin/gone/")] == [*NO_PAGE]


def test_a_dead_link_a_wrong_flag_and_a_wrong_command_are_found(tmp_path: Path) -> None:
    assert missing_links(tmp_path / "a.md", "[x](gone.md) [y](https://there.example)") == [
        "gone.md"
    ]
    words = list(commands_in("    .venv/bin/python manage.py export shop --formt csv  # why\n"))
    assert words == [["export", "shop", "--formt", "csv"]]
    with pytest.raises(Exception, match="format"):
        parser_of("export").parse_args(words[0][1:])
