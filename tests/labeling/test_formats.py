"""Files in and cells out: what is read, what is refused and on which line, what a sheet may run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from labeling.formats.benchmark import read_benchmark
from labeling.formats.csv_export import write_csv
from labeling.formats.documents import read_documents
from labeling.formats.jsonl import write_jsonl
from labeling.formats.labels import read_labels
from labeling.formats.predictions import read_predictions
from labeling.formats.records import MAX_LINE_BYTES, FileRefused, read_jsonl
from labeling.formats.tabular import guard, read_table, unguard

NASTY = [
    "=1+1",
    "+49 30 1234",
    "-5",
    "@sum",
    "\ttab",
    "\rreturn",
    "\nfeed",
    "＝1+1",
    "'=1+1",
    "''=1+1",
    "'tis the season",
    "'",
    "''",
    "=",
    "plain",
    'quote " and, comma',
    "line\nbreak and \r\n and \r alone",
    "separator \u2028 and \u2029 and \x85",
    "\ufeffmark",
    "Ж и 汉 😀",
    " leading space",
    "",
]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("cell", NASTY)
def test_a_guarded_cell_comes_back_as_it_was(cell: str) -> None:
    assert unguard(guard(cell)) == cell


@pytest.mark.parametrize("cell", NASTY)
def test_no_guarded_cell_begins_a_formula(cell: str) -> None:
    assert guard(cell)[:1] not in set("=+-@\t\r\n＝＋－＠")


def test_words_with_an_apostrophe_are_left_alone() -> None:
    assert guard("'tis the season") == unguard("'tis the season") == "'tis the season"


@pytest.mark.parametrize("raw", [False, True])
def test_texts_go_through_a_csv_file_and_back(tmp_path: Path, raw: bool) -> None:
    rows = [{"id": f"row {n}", "text": text} for n, text in enumerate(NASTY)]
    path = write(tmp_path / "x.csv", b"".join(write_csv(rows, ["id", "text"], raw=raw)))

    header, read = read_table(path, raw=raw)

    assert header == ["id", "text"]
    assert list(read) == rows


def test_numbers_stay_numbers_in_csv() -> None:
    rows: list[dict[str, Any]] = [
        {"a": -1.5, "b": 3, "c": None, "d": True, "e": {"x": "=1"}, "f": []}
    ]

    lines = b"".join(write_csv(rows, list("abcdef"))).decode()

    assert next(csv.reader([lines.splitlines()[1]])) == ["-1.5", "3", "", "true", '{"x": "=1"}', ""]


def test_json_lines_stay_one_line_a_row_for_every_reader() -> None:
    rows = [{"text": text} for text in NASTY]

    written = b"".join(write_jsonl(rows)).decode()

    assert [json.loads(line) for line in written.splitlines()] == rows


def test_json_lines_are_split_at_line_feeds_only(tmp_path: Path) -> None:
    lines = '{"text": "a\u2028b"}\r\n\n{"text": "c\x85d"}'

    path = write(tmp_path / "x.jsonl", b"\xef\xbb\xbf" + lines.encode())

    assert list(read_jsonl(path)) == [{"text": "a\u2028b"}, {"text": "c\x85d"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1}\n{"b": \n', "line 2: this is not JSON"),
        (b'{"a": 1}\n\xff\xfe\n', "line 2: byte 1 is not UTF-8"),
        ('{"text": "Größe"}\n'.encode("latin-1"), "line 1: byte 13 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16; save it as UTF-8"),
        (b'{"a": 1, "a": 2}', "line 1: the name “a” stands twice"),
        (b"[" * 100_000, "line 1: the value is nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = write(tmp_path / "x.jsonl", content)

    with pytest.raises(FileRefused, match=words):
        list(read_jsonl(path))


def test_a_line_without_end_is_refused_before_memory_runs_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", b'"' + b"x" * MAX_LINE_BYTES)

    with pytest.raises(FileRefused, match="line 1: the line is longer than 32 MB"):
        list(read_jsonl(path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no header"),
        ("id,text,id\n", "column “id” stands there twice"),
        ("id,text\n1\n", "line 2: 1 cells, but the header has 2"),
        ('id,text\n1,"a\nb"\n\n2,c,d\n', "line 5: 3 cells"),
        ('id,text\n1,"open\n2,b\n', "line 2: unexpected end of data"),
        ('id,text\n1,"a"b\n', "line 2: ',' expected after"),
    ],
)
def test_a_bad_table_names_its_line(tmp_path: Path, content: str, words: str) -> None:
    path = write(tmp_path / "x.csv", content)

    with pytest.raises(FileRefused, match=words):
        list(read_table(path)[1])


def test_a_missing_file_and_an_unknown_kind_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="cannot be opened: No such file"):
        list(read_predictions(tmp_path / "none.jsonl"))
    with pytest.raises(FileRefused, match=r"should end in \.csv, \.jsonl, \.ndjson"):
        list(read_predictions(tmp_path / "none.xlsx"))


def test_a_csv_with_a_column_a_label_gives_scores_by_label(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.csv",
        "\ufeffexternal_id,text,metadata,a,'=b\r\n"
        '1,"two\r\nlines","{""k"": 1}",2.5,-1\r\n'
        "2,'=SUM(A1),,,3\r\n"
        "3,words,,x,1_0\r\n",
    )

    assert list(read_predictions(path)) == [
        {
            "external_id": "1",
            "text": "two\r\nlines",
            "metadata": {"k": 1},
            "logits": {"a": 2.5, "=b": -1.0},
        },
        {"external_id": "2", "text": "=SUM(A1)", "logits": {"=b": 3.0}},
        # What is no number goes on as it is, for the import to refuse with its row.
        {"external_id": "3", "text": "words", "logits": {"a": "x", "=b": "1_0"}},
    ]


@pytest.mark.parametrize(
    ("row", "options", "kind"),
    [
        ("0.25,0.75", {}, "probabilities"),
        ("0.25,0.7", {}, "logits"),
        ("-0.5,1.5", {}, "logits"),
        (",1.0", {}, "probabilities"),
        ("0.25,0.75", {"score_kind": "logits"}, "logits"),
    ],
)
def test_the_kind_of_label_columns_is_seen_or_said(
    tmp_path: Path, row: str, options: dict[str, Any], kind: str
) -> None:
    path = write(tmp_path / "x.csv", f"external_id,text,a,b\n1,x,{row}\n")

    assert kind in next(
        iter(dict(r) for r in read_predictions(path, **options) if isinstance(r, dict))
    )


def test_scores_may_stand_as_json_in_one_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.csv",
        'external_id,text,logits\n1,x,"[1, 2.5]"\n2,y,"{""a"": 1}"\n3,z,[1\n4,w,\n',
    )

    assert [row.get("logits") for row in read_predictions(path) if isinstance(row, dict)] == [
        [1, 2.5],
        {"a": 1},
        "[1",
        None,
    ]


def test_a_large_cell_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", f"external_id,text,a\n1,{'x' * 300_000},1\n")

    (row,) = read_predictions(path)

    assert isinstance(row, dict)
    assert len(row["text"]) == 300_000


def test_a_csv_without_rows_has_no_items_and_one_without_texts_is_refused(tmp_path: Path) -> None:
    assert not list(read_predictions(write(tmp_path / "x.csv", "external_id,text,a\n")))
    with pytest.raises(FileRefused, match="lacks the column “text”"):
        list(read_predictions(write(tmp_path / "y.csv", "external_id,a\n1,2\n")))


LABELS = [{"name": "card lost", "description": "gone"}, {"name": "fees"}]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("x.json", '["card lost", "fees"]', ["card lost", "fees"]),
        ("x.json", json.dumps({"labels": LABELS}), LABELS),
        ("x.jsonl", '"card lost"\n{"name": "fees"}\n', ["card lost", {"name": "fees"}]),
        ("x.csv", "name,description\ncard lost,gone\nfees,\n", LABELS),
        (
            "x.csv",
            'name,examples\nfees,"[""how much?""]"\n',
            [{"name": "fees", "examples": ["how much?"]}],
        ),
        ("x.txt", "\ufeffcard lost\r\n\r\n fees \n", ["card lost", "fees"]),
    ],
)
def test_label_sets_are_read_from_each_kind_of_file(
    tmp_path: Path, name: str, content: str, found: list[Any]
) -> None:
    assert read_labels(write(tmp_path / name, content)) == found


def test_a_label_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="a list of labels"):
        read_labels(write(tmp_path / "x.json", '{"a": 1}'))
    with pytest.raises(FileRefused, match="is not JSON"):
        read_labels(write(tmp_path / "y.json", "[1,"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.jsonl", '{"id": "1", "text": "=x"}\n'),
        ("x.json", '[{"id": "1", "text": "=x"}]'),
        ("x.csv", "id,text\n1,'=x\n"),
    ],
)
def test_documents_are_read_from_each_kind_of_file(tmp_path: Path, name: str, content: str) -> None:
    assert list(read_documents(write(tmp_path / name, content))) == [{"id": "1", "text": "=x"}]


ANSWER = {"external_id": "1", "expert": "E", "conf": ["a", "b"]}


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        (
            "x.json",
            json.dumps({"part": "tune", "sampling": "random", "items": [ANSWER]}),
            ("tune", "random"),
        ),
        ("x.json", json.dumps([ANSWER]), (None, None)),
        ("x.jsonl", json.dumps(ANSWER), (None, None)),
        ("x.csv", 'external_id,expert,label,conf\n1,E,,"[""a"", ""b""]"\n', (None, None)),
    ],
)
def test_benchmark_answers_are_read_from_each_kind_of_file(
    tmp_path: Path, name: str, content: str, named: tuple[str | None, str | None]
) -> None:
    found = read_benchmark(write(tmp_path / name, content))

    assert found.items == [ANSWER]
    assert (found.part, found.sampling) == named


def test_a_benchmark_file_without_items_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="part, sampling and items"):
        read_benchmark(write(tmp_path / "x.json", '{"part": "tune"}'))


def test_csv_is_written_row_by_row() -> None:
    taken: list[int] = []

    def rows() -> Any:
        for n in range(3):
            taken.append(n)
            yield {"a": n}

    lines = write_csv(rows(), ["a"])

    assert next(lines) == b"a\r\n"
    assert taken == []
    assert next(lines) == b"0\r\n"
    assert taken == [0]
    assert io.BytesIO(b"".join(lines)).read() == b"1\r\n2\r\n"
