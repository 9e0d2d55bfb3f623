"""`countersign`: send predictions and fetch labels from a terminal."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from countersign import config
from countersign.batches import Pushed
from countersign.client import Client
from countersign.errors import ClientError, RefusedError
from countersign.files import read_rows

MOST_SHOWN = 20
AS_FILE_ABOVE = 32 * 1024 * 1024
"""Bytes of a file above which it is sent whole, for the site's worker to import."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 with a sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except RefusedError as error:
        _say(str(error))
        for detail in error.details[:MOST_SHOWN]:
            where = f"row {detail['index']}, " if detail.get("index") is not None else ""
            _say(f"  {where}{detail.get('field') or 'row'}: {detail.get('message')}")
        if len(error.details) > MOST_SHOWN:
            _say(f"  and {len(error.details) - MOST_SHOWN} more")
    except ClientError as error:
        _say(str(error))
    except KeyboardInterrupt:
        _say("Stopped.")
    except BrokenPipeError:
        # Whoever read our output has enough; let Python not complain when it closes the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="countersign", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    login = commands.add_parser("login", help="keep the address of the site and a token")
    login.add_argument("site", help="such as https://labels.example.org")
    login.set_defaults(run=_login)

    push = commands.add_parser("push", help="send predictions from a file")
    push.add_argument("project")
    push.add_argument("file", type=Path, help=".jsonl, .ndjson or .csv")
    push.add_argument("--model-version", required=True, help="the classifier they come from")
    push.add_argument(
        "--score-kind",
        choices=("logits", "probabilities"),
        default="logits",
        help="what the label columns of a CSV hold (default: logits)",
    )
    push.add_argument(
        "--on-error",
        choices=("reject_batch", "skip_row"),
        default="reject_batch",
        help="refuse the batch, or the large file, that has a mistake (default), or skip such rows",
    )
    push.add_argument(
        "--mapping", default="", help="the project's saved mapping of the names in the file"
    )
    push.add_argument("--wait", action="store_true", help="until the machines are done")
    push.set_defaults(run=_push)

    wait = commands.add_parser("wait", help="until runs are completed")
    wait.add_argument("project")
    wait.add_argument("runs", type=int, nargs="+", metavar="run")
    wait.add_argument("--timeout", type=float, help="seconds (default: for ever)")
    wait.set_defaults(run=_wait)

    pull = commands.add_parser("pull", help="fetch the export")
    pull.add_argument("project")
    pull.add_argument("-o", "--output", type=Path, help="a file (default: standard output)")
    pull.add_argument("--format", default="jsonl", help="as in the API (default: jsonl)")
    which = pull.add_mutually_exclusive_group()
    which.add_argument("--status", help="only tasks of this status, such as resolved")
    which.add_argument("--snapshot", type=int, help="the snapshot of this number instead")
    pull.set_defaults(run=_pull)

    keep = commands.add_parser("snapshot", help="keep the export as it is now; prints its number")
    keep.add_argument("project")
    keep.add_argument("--note", default="", help="what it is for")
    keep.add_argument("--status", help="only tasks of this status, such as resolved")
    keep.add_argument(
        "--split", help="shares of train, validation and test, such as 80,10,10: one more column"
    )
    keep.add_argument("--seed", help="of the split")
    keep.set_defaults(run=_snapshot)
    return parser


def _login(options: argparse.Namespace) -> int:
    token = os.environ.get(config.TOKEN_VARIABLE) or getpass.getpass("Token: ").strip()
    with Client(options.site, token) as client:
        found = [project["slug"] for project in client.projects()]
    path = config.save(config.Login(options.site, token))
    _say(f"Kept in {path}. Projects: {', '.join(found) or 'none yet'}.")
    return 0


def _client() -> Client:
    login = config.load()
    return Client(login.site, login.token)


def _push(options: argparse.Namespace) -> int:
    with _client() as client:
        done = _pushed(client, options)
        _end_ticks()
        for error in done.errors[:MOST_SHOWN]:
            _say(f"  row {error.row}, {error.field}: {error.message}")
        _say(
            f"{done.created} created, {done.updated} updated, {done.unchanged} unchanged, "
            f"{done.refused} refused."
        )
        for number in done.runs:
            sys.stdout.write(f"{number}\n")
        if options.wait:
            client.wait(options.project, done.runs, progress=_unfinished)
            _end_ticks()
    return 1 if done.refused else 0


def _pushed(client: Client, options: argparse.Namespace) -> Pushed:
    """A large file goes in as one, and the site's worker imports it; a small one goes in batches,
    whose answers come at once."""
    choices: dict[str, Any] = {**_given(options, "mapping")}
    if options.file.is_file() and options.file.stat().st_size > AS_FILE_ABOVE:
        return client.push_file(
            options.project,
            options.file,
            model_version=options.model_version,
            on_error=options.on_error,
            score_kind=options.score_kind,
            progress=lambda rows: _tick(f"{rows} rows are through"),
            **choices,
        )
    return client.push(
        options.project,
        read_rows(options.file, score_kind=options.score_kind),
        model_version=options.model_version,
        on_error=options.on_error,
        progress=lambda sent: _tick(f"{sent} rows sent"),
        **choices,
    )


def _wait(options: argparse.Namespace) -> int:
    with _client() as client:
        client.wait(options.project, options.runs, timeout=options.timeout, progress=_unfinished)
    _end_ticks()
    return 0


def _pull(options: argparse.Namespace) -> int:
    wanted: dict[str, Any] = {"format": options.format, "snapshot": options.snapshot}
    wanted |= _given(options, "status")
    with _client() as client:
        if options.output is None:
            client.download(options.project, sys.stdout.buffer, **wanted)
            return 0
        # Written aside and renamed: a connection that breaks leaves no half file behind.
        aside = options.output.with_name(f".{options.output.name}.part")
        try:
            with aside.open("wb") as file:
                size = client.download(options.project, file, **wanted)
            aside.replace(options.output)
        except OSError as error:
            raise ClientError(f"{options.output} cannot be written: {error.strerror}.") from error
        finally:
            aside.unlink(missing_ok=True)
        _say(f"{size} bytes in {options.output}.")
    return 0


def _snapshot(options: argparse.Namespace) -> int:
    with _client() as client:
        choices: dict[str, Any] = {**_given(options, "status", "split", "seed")}
        kept = client.make_snapshot(options.project, note=options.note, **choices)
    _say(f"{kept['rows']} rows kept, SHA-256 {kept['sha256']}.")
    sys.stdout.write(f"{kept['number']}\n")
    return 0


def _given(options: argparse.Namespace, *names: str) -> dict[str, str]:
    """Of these options those that were given."""
    return {name: value for name in names if (value := getattr(options, name))}


def _unfinished(left: int) -> None:
    _tick(f"{left} unfinished")


def _tick(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _end_ticks() -> None:
    _tick("")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def entry() -> None:
    """What the installed command calls."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
