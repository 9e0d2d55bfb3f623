"""Validators on a real data set: accuracy against coverage, with the settings that may change it.

`python -m bench.validators --data FOLDER --json` takes train.csv and test.csv of FOLDER (columns
text and category), trains the embedded classifier and the local validators, and asks every
validator about tasks of test.csv: both questions and, of the model behind vLLM, with and without
documents, with and without look-alike examples on the label cards, and each remedy for its likes
of digits. Thresholds are tuned on one half of the tasks for the target accuracy and measured on
the other. Answers are kept by cell (`--cache`), so that a run that was cut off goes on.

Without `--url` the model is a tiny word finder (`bench.word_finder`) behind vLLM's CPU
build. It is no LLM, and what it scores says nothing about one.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.common import report, say
from bench.validator_material import CROSS_ENCODER, NEAREST, Material, make_material
from bench.validator_tables import Answer, Cell, figure_of, tables
from llm_worker.clients.bias import NO_REMEDY, Bias, fit_prior
from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.probe import probe
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.prompts.families import newest_family
from llm_worker.prompts.settings import Approach
from llm_worker.types import Question, ValidationRequest
from llm_worker.validators import Validator, validate_all

QUESTIONS: tuple[Question, ...] = ("multiclass", "binary")
REMEDIES = ("none", "prior", "shifts-2", "shifts-5")
DOMAIN = "Questions of customers to an online bank."
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.validators", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.csv, test.csv")
    parser.add_argument("--documents", type=Path, help="documents (JSONL: id, title, text)")
    parser.add_argument("--url", help="a vLLM server (http://host:port/v1), else the tiny model")
    parser.add_argument("--model", default="tiny", help="the model to ask there")
    parser.add_argument("--tasks", type=int, default=200, help="tasks to tune on, and to test on")
    parser.add_argument("--per-label", type=int, default=40, help="texts a label to train on")
    parser.add_argument("--pairs", type=int, default=12_000, help="pairs to train on")
    parser.add_argument("--target", type=float, default=0.95, help="accuracy to tune for")
    parser.add_argument("--seed", type=int, default=0, help="seed of the cut and the trainings")
    parser.add_argument("--cache", type=Path, default=Path("var/bench-validators"))
    parser.add_argument("--figure", type=Path, help="write accuracy against coverage as SVG there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    material = make_material(options)
    cells = list(ask_all(material, options))
    result = {
        "data": options.data.name,
        "train_rows": material.train_rows,
        "labels": len(material.names),
        "model": options.model if options.url else "a tiny word finder, no LLM",
        **tables(material, cells, options.target),
    }
    if options.figure:
        options.figure.write_text(figure_of(material, cells), encoding="utf-8")
    report(result, as_json=options.json)


@dataclass(frozen=True)
class Setting:
    """How the model behind the server is asked."""

    question: Question
    documents: bool = False
    look_alikes: bool = True
    remedy: str = "none"


def settings(has_documents: bool) -> list[Setting]:
    """Every remedy with look-alikes and without documents; the rest without a remedy."""
    found = [Setting("multiclass", remedy=remedy) for remedy in REMEDIES]
    found += [Setting("binary")]
    for question in QUESTIONS:
        found.append(Setting(question, look_alikes=False))
        if has_documents:
            found.append(Setting(question, documents=True))
    return found


def ask_all(material: Material, options: argparse.Namespace) -> Iterator[Cell]:
    tasks = [*material.tune, *material.test]
    for question in QUESTIONS:
        requests = material.requests(tasks, question, look_alikes=False, documents=False)
        for name in (NEAREST, CROSS_ENCODER):
            answers = answered(partial(_local, material, name), requests, options, name)
            yield Cell(name, question, {}, answers)
    with ExitStack() as stack:
        # Answers that are all known need no server.
        model = cache(lambda: stack.enter_context(served(options, material)))
        for setting in settings(options.documents is not None):
            requests = material.requests(
                tasks,
                setting.question,
                look_alikes=setting.look_alikes,
                documents=setting.documents,
            )
            about = {key: value for key, value in asdict(setting).items() if key != "question"}
            make = partial(_client, model, setting, material)
            answers = answered(make, requests, options, f"model {asdict(setting)}")
            yield Cell("model", setting.question, about, answers)


def _local(material: Material, name: str) -> Validator:
    return material.local()[name]


def _client(model: Callable[[], ServedModel], setting: Setting, material: Material) -> Validator:
    chosen = replace(model(), reads_documents=setting.documents)
    return VllmServerValidator(replace(chosen, bias=_bias(setting, chosen, material)))


def _bias(setting: Setting, model: ServedModel, material: Material) -> Bias:
    if setting.remedy == "none":
        return NO_REMEDY
    if setting.remedy == "prior":
        spare = material.requests(
            material.spare, "multiclass", look_alikes=setting.look_alikes, documents=False
        )
        return fit_prior(VllmServerValidator(model), spare)
    return Bias("shifts", orders=int(setting.remedy.removeprefix("shifts-")))


def answered(
    make: Callable[[], Validator],
    requests: Sequence[ValidationRequest],
    options: argparse.Namespace,
    name: str,
) -> dict[int, Answer]:
    """The options' probabilities by task, from the cache where they stand there."""
    shown = [options.seed, options.per_label, options.pairs, options.url, options.model, name]
    key = hashlib.sha256(
        json.dumps([shown, [one.prompt_hash(name) for one in requests]]).encode()
    ).hexdigest()
    path = options.cache / f"{key[:24]}.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    missing = [one for one in requests if str(one.task_id) not in known]
    if missing:
        validator = make()
    for start in range(0, len(missing), BATCH):
        say(f"  {name}: {len(known)} of {len(requests)}")
        results, failures = validate_all(validator, missing[start : start + BATCH])
        if failures and not results:
            raise SystemExit(f"{name}: {failures[0].message} Start again to go on.")
        if failures:
            say(f"  {len(failures)} without an answer: {failures[0].message}")
        known |= {
            str(one.task_id): [one.probabilities.as_dict(), one.probabilities.mass, one.tokens]
            for one in results
        }
        options.cache.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(known))
    return {int(task): Answer(*values) for task, values in known.items()}


@contextmanager
def served(options: argparse.Namespace, material: Material) -> Iterator[ServedModel]:
    """The model as a validator would be registered: behind the URL, or the tiny one."""
    if options.url:
        yield asyncio.run(registered(options.url, options.model))
        return
    from bench.word_finder import make_model
    from tests.vllm import MODEL, VllmServer, free_port

    words = sorted({word for name in material.names for word in name.casefold().split("_")})
    with TemporaryDirectory(prefix="countersign-bench-") as folder:
        server = VllmServer(make_model(Path(folder) / "model", words), free_port())
        say("starting vLLM ...")
        server.start()
        try:
            yield asyncio.run(registered(server.url, MODEL))
        finally:
            server.stop()


async def registered(url: str, model: str) -> ServedModel:
    family = newest_family(Approach.PROB, "en")
    async with JsonServer(url) as server:
        passport = await probe(server, model=model, family=family, domain=DOMAIN)
    return ServedModel(
        url, model, family.key, family.digest, DOMAIN, reads_documents=False, passport=passport
    )


if __name__ == "__main__":
    main()
