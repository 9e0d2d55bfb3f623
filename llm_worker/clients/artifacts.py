"""Saved validators: a folder of arrays and JSON with a manifest of checksums, never pickle.

A folder is written aside and renamed, so that a reader sees the old artifact or the new one and
never half of either.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from llm_worker.errors import ArtifactError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
_CHUNK = 1 << 20


def content_hash(arrays: Mapping[str, np.ndarray[Any, Any]], settings: Mapping[str, Any]) -> str:
    """SHA-256 of named arrays (name, type, shape, bytes) and of JSON-able settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


@contextmanager
def new_artifact(folder: Path, *, kind: str, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Give an empty folder to write files into; on leaving, seal it and rename it to `folder`.

    An artifact that stood at `folder` is replaced. After an exception nothing has changed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.new")
    aside.mkdir()
    try:
        yield aside
        files = {path.name: file_hash(path) for path in sorted(aside.iterdir())}
        manifest = {
            "format": FORMAT_VERSION,
            "kind": kind,
            "files": files,
            "settings": dict(settings),
        }
        text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
        (aside / MANIFEST).write_text(text + "\n", encoding="utf-8")
        _put_in_place(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def read_settings(folder: Path, *, kind: str) -> dict[str, Any]:
    """The settings of a sealed artifact, after every file was checked against its hash.

    Raises `ArtifactError` if the folder is missing, of another kind or format, or damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"There is no saved validator in {folder}.") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT_VERSION:
        raise ArtifactError(f"{path} is not of format {FORMAT_VERSION}; train the validator again.")
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{folder} holds a {manifest.get('kind')!r}, not a {kind!r}.")
    files, settings = manifest.get("files"), manifest.get("settings")
    if not isinstance(files, dict) or not isinstance(settings, dict):
        raise ArtifactError(f"{path} lacks its files or its settings.")
    for name, expected in files.items():
        _check_file(folder / Path(name).name, expected)
    return settings


def _check_file(path: Path, expected: object) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing.")
    if file_hash(path) != expected:
        raise ArtifactError(f"{path} is damaged: its SHA-256 is not the one in the manifest.")


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _put_in_place(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`. A folder cannot be renamed over a full one: the old one steps
    back first and returns if the rename fails."""
    old = aside.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    try:
        aside.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
