from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rerank_engine.artifacts import (
    ARRAYS,
    MANIFEST,
    data_hash,
    find_matching,
    read_artifact,
    write_artifact,
)
from rerank_engine.errors import ArtifactError


def _write(folder: Path, *, kind: str = "head", hash_: str = "h", value: float = 1.0) -> Path:
    return write_artifact(
        folder,
        kind=kind,
        arrays={"weights": np.full((3, 2), value, dtype=np.float32)},
        extra_files={"notes/words.txt": "карта".encode()},
        manifest={"data_hash": hash_, "settings": {"seed": 1}, "metrics": {"accuracy": 0.5}},
    )


def test_an_artifact_comes_back_as_it_was_written(tmp_path: Path) -> None:
    artifact = read_artifact(_write(tmp_path / "a"), kind="head")
    np.testing.assert_array_equal(artifact.arrays["weights"], np.ones((3, 2), np.float32))
    assert artifact.files["notes/words.txt"].read_text(encoding="utf-8") == "карта"
    assert (artifact.data_hash, artifact.settings, artifact.metrics) == (
        "h",
        {"seed": 1},
        {"accuracy": 0.5},
    )
    assert artifact.libraries["numpy"] == np.__version__


@pytest.mark.parametrize("name", [ARRAYS, "notes/words.txt"])
def test_every_corrupted_byte_of_a_file_is_found(tmp_path: Path, name: str) -> None:
    folder = _write(tmp_path / "a")
    whole = (folder / name).read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 20)):
        broken = bytearray(whole)
        broken[place] ^= 1
        (folder / name).write_bytes(bytes(broken))
        with pytest.raises(ArtifactError, match="damaged"):
            read_artifact(folder, kind="head")


def test_a_changed_setting_in_the_manifest_is_found(tmp_path: Path) -> None:
    folder = _write(tmp_path / "a")
    content = json.loads((folder / MANIFEST).read_text())
    content["settings"]["seed"] = 2
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=r"manifest .* damaged"):
        read_artifact(folder, kind="head")


def test_another_format_version_is_refused_in_words(tmp_path: Path) -> None:
    folder = _write(tmp_path / "a")
    content = json.loads((folder / MANIFEST).read_text())
    content["format_version"] = 99
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="format version 99; this program reads version 1"):
        read_artifact(folder, kind="head")


def test_missing_surplus_and_foreign_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no artifact"):
        read_artifact(tmp_path / "nothing", kind="head")
    folder = _write(tmp_path / "a")
    with pytest.raises(ArtifactError, match="holds a head, not a index"):
        read_artifact(folder, kind="index")
    (folder / "stray.bin").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"stray\.bin, which its manifest does not name"):
        read_artifact(folder, kind="head")
    (folder / "stray.bin").unlink()
    (folder / "notes" / "words.txt").unlink()
    with pytest.raises(ArtifactError, match="lacks the file"):
        read_artifact(folder, kind="head")


def test_what_would_need_pickle_or_leave_the_folder_is_not_written(tmp_path: Path) -> None:
    good = {"data_hash": "h", "settings": {}}
    with pytest.raises(ArtifactError, match="Python objects"):
        write_artifact(
            tmp_path / "a",
            kind="x",
            arrays={"o": np.array([{}], dtype=object)},
            manifest=good,
        )
    with pytest.raises(ArtifactError, match="outside"):
        write_artifact(
            tmp_path / "a", kind="x", arrays={}, extra_files={"../b": b""}, manifest=good
        )
    with pytest.raises(ArtifactError, match="finite JSON"):
        write_artifact(
            tmp_path / "a",
            kind="x",
            arrays={},
            manifest={"data_hash": "h", "settings": {"lr": float("nan")}},
        )
    assert list(tmp_path.iterdir()) == []


def test_writing_again_replaces_an_artifact_but_never_another_folder(tmp_path: Path) -> None:
    folder = _write(tmp_path / "a")
    _write(folder, value=2.0)
    assert read_artifact(folder, kind="head").arrays["weights"][0, 0] == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(ArtifactError, match="is not an artifact"):
        _write(tmp_path / "mine")


def test_the_newest_whole_artifact_of_the_same_data_and_settings_matches(tmp_path: Path) -> None:
    assert find_matching(tmp_path / "none", kind="head", data_hash="h", settings={}) is None
    _write(tmp_path / "v1", value=1.0)
    _write(tmp_path / "v2", value=2.0)
    _write(tmp_path / "v3", hash_="other", value=3.0)
    _write(tmp_path / "v4", kind="index", value=4.0)

    def matching(**settings: int) -> float | None:
        found = find_matching(tmp_path, kind="head", data_hash="h", settings=settings)
        return None if found is None else float(found.arrays["weights"][0, 0])

    assert matching(seed=1) == 2.0
    assert matching(seed=2) is None
    (tmp_path / "v2" / ARRAYS).write_bytes(b"torn")
    assert matching(seed=1) == 1.0


def test_the_data_hash_tells_apart_what_joins_to_the_same_bytes() -> None:
    assert data_hash(["a", "b"]) == data_hash(["a", "b"])
    hashes = [
        data_hash("ab", "c"),
        data_hash("a", "bc"),
        data_hash(["ab", "c"]),
        data_hash(b"ab", "c"),
        data_hash(np.array([1, 2])),
        data_hash(np.array([[1, 2]])),
        data_hash(np.array([1, 2], dtype=np.int32)),
        data_hash(1, 2),
        data_hash("1", 2),
        data_hash(None),
    ]
    assert len(set(hashes)) == len(hashes)
