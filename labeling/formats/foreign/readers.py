"""The tools whose projects can be read, by name, and the one way to read a file of any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labeling.actions.ingest_parse import BadRow
from labeling.formats.foreign.argilla import ArgillaReader
from labeling.formats.foreign.base import ForeignTask, Reader, read_items, read_task
from labeling.formats.foreign.doccano import DoccanoReader
from labeling.formats.foreign.label_studio import LabelStudioReader
from labeling.formats.foreign.prodigy import ProdigyReader

TOOLS: Mapping[str, str] = {
    "label_studio": "Label Studio",
    "argilla": "Argilla",
    "doccano": "doccano",
    "prodigy": "Prodigy",
}


@dataclass(frozen=True)
class ForeignFile:
    """A file of a tool and how to read it: `control` is the name of the question for the label,
    `text` the field with the text, `annotator` who labeled, where the format does not say."""

    path: Path
    tool: str
    control: str = ""
    text: str = ""
    annotator: str = ""

    def read(self) -> Iterator[ForeignTask | BadRow]:
        """The tasks; a row that is none comes as what is wrong with it. Raises FileRefused."""
        reader = self._reader()
        for number, item in enumerate(read_items(self.path), start=1):
            try:
                yield read_task(reader, item, number)
            except BadRow as bad:
                yield bad

    def _reader(self) -> Reader:
        make: dict[str, Callable[[], Reader]] = {
            "label_studio": lambda: LabelStudioReader(control=self.control, text=self.text),
            "argilla": lambda: ArgillaReader(control=self.control, text=self.text),
            "doccano": lambda: DoccanoReader(annotator=self.annotator, text=self.text),
            "prodigy": ProdigyReader,
        }
        return make[self.tool]()


def guess_tool(path: Path) -> str:
    """The tool that wrote a file, seen from its first item; empty where none fits."""
    item = next(read_items(path), None)
    names = set(item) if isinstance(item, Mapping) else set()
    if "data" in names:
        return "label_studio"
    if "fields" in names:
        return "argilla"
    if names & {"options", "accept", "answer", "_input_hash"}:
        return "prodigy"
    return "doccano" if "text" in names else ""
