"""Artifacts: a folder of arrays and files with a manifest that proves them whole.

A folder holds `arrays.npz` (never pickled objects), any extra files, and `manifest.json` with the
format version, the kind, the SHA-256 of every file, the hash of the training data, the settings,
the metrics and the versions of the libraries. The manifest carries a checksum of itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rerank_engine.errors import ArtifactError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ARRAYS = "arrays.npz"
_CALLER_KEYS = frozenset({"data_hash", "settings", "metrics"})
_LIBRARIES = ("numpy", "torch", "sentence-transformers", "faiss-cpu", "snowballstemmer")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """A verified artifact.

    `arrays` are in memory; `files` maps the name of each extra file to its path on disk.
    """

    folder: Path
    kind: str
    arrays: dict[str, NDArray[Any]]
    files: dict[str, Path]
    data_hash: str
    settings: dict[str, Any]
    metrics: dict[str, Any]
    libraries: dict[str, str]
    created: str


def data_hash(*parts: str | bytes | int | float | NDArray[Any] | Sequence[str] | None) -> str:
    """SHA-256 (hex) of the parts in order.

    Each part is framed by its type and length, so that ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, part: object) -> None:
    if isinstance(part, np.ndarray):
        if part.dtype.hasobject:
            raise ArtifactError("An array of Python objects has no stable hash.")
        head, body = f"array:{part.dtype.str}:{part.shape}", np.ascontiguousarray(part).tobytes()
    elif isinstance(part, bytes):
        head, body = "bytes", part
    elif isinstance(part, str):
        head, body = "str", part.encode("utf-8", "surrogatepass")
    elif part is None or isinstance(part, bool | int | float | np.integer | np.floating):
        head, body = "scalar", repr(part).encode()
    elif isinstance(part, Sequence):
        digest.update(f"list:{len(part)};".encode())
        for item in part:
            _feed(digest, item)
        return
    else:
        raise ArtifactError(f"A {type(part).__name__} cannot be part of a data hash.")
    digest.update(f"{head}:{len(body)};".encode())
    digest.update(body)


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file, read in blocks."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_artifact(
    folder: str | Path,
    *,
    kind: str,
    arrays: Mapping[str, NDArray[Any]],
    manifest: Mapping[str, Any],
    extra_files: Mapping[str, bytes | Path] | None = None,
) -> Path:
    """Write an artifact aside and rename it to `folder`; returns the folder.

    `manifest` holds `data_hash` (str), `settings` and optionally `metrics` (JSON objects).
    `extra_files` maps a relative name to its bytes, or to a file to copy. An artifact that stands
    there already is replaced; where others may be reading, give each version a folder of its own.
    Raises ArtifactError for what cannot be stored.
    """
    target = Path(folder)
    _check_caller_manifest(manifest)
    if target.exists() and not (target / MANIFEST).is_file():
        raise ArtifactError(f"{target} exists and is not an artifact, so it is not replaced.")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
    try:
        _write_arrays(aside / ARRAYS, arrays)
        for name, content in (extra_files or {}).items():
            _write_extra(aside, name, content)
        _write_manifest(aside, kind, manifest)
        _swap_in(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _check_caller_manifest(manifest: Mapping[str, Any]) -> None:
    unknown = sorted(set(manifest) - _CALLER_KEYS)
    if unknown:
        raise ArtifactError(f"A manifest has no field {', '.join(unknown)}.")
    if not isinstance(manifest.get("data_hash"), str) or "settings" not in manifest:
        raise ArtifactError("A manifest needs a data_hash and settings.")


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise ArtifactError(f"Array {name} holds Python objects, which are never stored.")
    with path.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **dict(arrays))


def _write_extra(folder: Path, name: str, content: bytes | Path) -> None:
    path = _inside(folder, name)
    if name in (MANIFEST, ARRAYS):
        raise ArtifactError(f"An extra file cannot be called {name}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)


def _write_manifest(folder: Path, kind: str, caller: Mapping[str, Any]) -> None:
    content: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "files": {name: file_sha256(folder / name) for name in _names_in(folder)},
        "data_hash": caller["data_hash"],
        "settings": dict(caller["settings"]),
        "metrics": dict(caller.get("metrics") or {}),
        "libraries": library_versions(),
    }
    content["manifest_sha256"] = _content_hash(content)
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change what an artifact means."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def _content_hash(content: Mapping[str, Any]) -> str:
    bare = {key: value for key, value in content.items() if key != "manifest_sha256"}
    try:
        text = json.dumps(bare, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"Settings and metrics must be plain, finite JSON: {error}.") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _names_in(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path != folder / MANIFEST
    )


def _swap_in(aside: Path, target: Path) -> None:
    """Put the new folder in the old one's place, and the old one back where that fails."""
    if not target.exists():
        os.rename(aside, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old-", dir=target.parent))
    os.rename(target, old / target.name)
    try:
        os.rename(aside, target)
    except OSError:
        os.rename(old / target.name, target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or path.is_symlink():
        raise ArtifactError(f"{name} lies outside of the artifact.")
    return path


def read_artifact(folder: str | Path, *, kind: str) -> Artifact:
    """Read an artifact and verify its format version, kind and every checksum.

    Raises ArtifactError with a sentence saying what is wrong.
    """
    path = Path(folder)
    content = _read_manifest(path, kind)
    stored: dict[str, str] = content["files"]
    surplus = sorted(set(_names_in(path)) - set(stored))
    if surplus:
        raise ArtifactError(f"{path} holds {surplus[0]}, which its manifest does not name.")
    for name, expected in stored.items():
        file = _inside(path, name)
        if not file.is_file():
            raise ArtifactError(f"{path} lacks the file {name}.")
        if file_sha256(file) != expected:
            raise ArtifactError(f"{name} in {path} is damaged: its checksum does not match.")
    return Artifact(
        folder=path,
        kind=kind,
        arrays=_read_arrays(path / ARRAYS, stored[ARRAYS]),
        files={name: path / name for name in stored if name != ARRAYS},
        data_hash=content["data_hash"],
        settings=content["settings"],
        metrics=content["metrics"],
        libraries=content["libraries"],
        created=content["created"],
    )


def _read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(f"There is no artifact at {folder}.") from error
    except (OSError, ValueError) as error:
        raise ArtifactError(f"The manifest of {folder} cannot be read: {error}.") from error
    if not isinstance(content, dict) or "format_version" not in content:
        raise ArtifactError(f"The manifest of {folder} is not one of an artifact.")
    if content["format_version"] != FORMAT_VERSION:
        raise ArtifactError(
            f"{folder} has format version {content['format_version']}; "
            f"this program reads version {FORMAT_VERSION}."
        )
    if content.get("manifest_sha256") != _content_hash(content):
        raise ArtifactError(f"The manifest of {folder} is damaged: its checksum does not match.")
    if content["kind"] != kind:
        raise ArtifactError(f"{folder} holds a {content['kind']}, not a {kind}.")
    return content


def _read_arrays(path: Path, expected: str) -> dict[str, NDArray[Any]]:
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != expected:
        raise ArtifactError(f"{path} changed while it was read.")
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, BadZipFile) as error:
        raise ArtifactError(f"The arrays of {path} cannot be read: {error}.") from error


def find_matching(
    folder: str | Path, *, kind: str, data_hash: str, settings: Mapping[str, Any]
) -> Artifact | None:
    """The newest whole artifact at `folder`, or in one of its subfolders, made from the same data.

    "The same" is the same kind, data hash and settings; then training again is not needed. A
    damaged artifact does not match (a warning is logged). None where there is no match.
    """
    root = Path(folder)
    wanted = json.dumps(dict(settings), sort_keys=True)
    places = [root, *sorted(root.iterdir())] if root.is_dir() else []
    found: list[Artifact] = []
    for place in places:
        if place.name.startswith(".") or not (place / MANIFEST).is_file():
            continue
        try:
            content = _read_manifest(place, kind)
            same = json.dumps(content["settings"], sort_keys=True) == wanted
            if same and content["data_hash"] == data_hash:
                found.append(read_artifact(place, kind=kind))
        except ArtifactError as error:
            log.warning("An artifact was passed over: %s", error)
    return max(found, key=lambda artifact: artifact.created, default=None)
