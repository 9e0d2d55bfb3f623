"""The card of a data set, README.md with YAML before it, as Hugging Face describes it:
https://huggingface.co/docs/hub/datasets-cards.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import yaml
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.models import Source

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~-])")


class Facts(Protocol):
    """What is told of the rows."""

    @property
    def rows(self) -> Counter[str]: ...
    @property
    def sources(self) -> Counter[str]: ...
    @property
    def labels(self) -> Counter[str]: ...
    @property
    def machines(self) -> Mapping[str, set[str]]: ...


def dataset_card(
    facts: Facts, names: Mapping[str, str], about: Mapping[str, str], files: Mapping[str, str]
) -> str:
    """The card of the rows counted in `facts`: `names` by label key, `files` by split."""
    total = facts.rows.total()
    head: dict[str, object] = {
        "pretty_name": about["name"],
        "task_categories": ["text-classification"],
        "size_categories": [next((said for most, said in SIZES if total < most), "n>1M")],
    }
    if files:
        data = [{"split": split, "path": path} for split, path in files.items()]
        head["configs"] = [{"config_name": "default", "data_files": data}]
    front = yaml.safe_dump(head, allow_unicode=True, sort_keys=False)
    return f"---\n{front}---\n\n{_body(facts, names, about)}"


def _body(facts: Facts, names: Mapping[str, str], about: Mapping[str, str]) -> str:
    sources = [
        [source.value, source.label, facts.sources[source]]
        for source in Source
        if facts.sources[source]
    ]
    labels = [[names[key], key, facts.labels[key]] for key in names]
    machines = [[name, ", ".join(sorted(seen)[:50])] for name, seen in facts.machines.items()]
    parts = [
        f"# {_plain(about['name'])}",
        _("Exported by Countersign on %(day)s from the project “%(project)s”. One row a task.")
        % {"day": f"{timezone.now():%Y-%m-%d}", "project": about["project"]},
        "## " + _("Splits"),
        _table([_("Split"), _("Rows")], sorted(facts.rows.items())),
        _(
            "“train”: tasks whose label stands. “test”: tasks of the benchmark that are held out; "
            "do not train on them. “unlabeled”: nobody has decided, nobody could choose, or "
            "several labels fit."
        ),
        "## " + _("Where the labels come from"),
        _table(["source", _("What it means"), _("Rows")], sources),
        _(
            "Every row says who or what decided it (decided_by), whether a policy with a "
            "certificate stands behind it (certified), what people and machines said "
            "(annotations, verdicts), and whether a program answered in the place of a person "
            "(simulated)."
        ),
        _table([_("Column"), _("Values")], [row for row in machines if row[1]]),
        "## " + _("Labels"),
        _("The column “label” numbers the labels from 0 in this order. Version of the set: %(n)s.")
        % {"n": about["taxonomy_version"]},
        _table([_("Name"), _("Key"), _("Rows")], labels),
        "## " + _("Columns"),
        _(
            "Free-form objects (metadata, hidden_metadata, visible) are JSON texts. Times are in "
            "UTC. Probabilities are by label key; “unk” stands for none of these."
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [" | ".join(_plain(cell) for cell in row) for row in rows]
    if not lines:
        return ""
    return "\n".join(
        f"| {line} |" for line in [" | ".join(head), " | ".join("---" for _ in head), *lines]
    )


def _plain(value: object) -> str:
    """A name as the words it is, whatever Markdown would make of it."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(str(value).split()), quote=False))
