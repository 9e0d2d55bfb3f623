"""Tasks a second through the Celery worker against a bare load generator on the same vLLM server.

`python -m bench.llm_throughput --json` starts vLLM's CPU build with the tiny model of the tests
(no LLM: what is measured is our part) and a worker of the queue `llm`, and has tasks of the demo
project asked by the worker and by the generator, with the same prompts, as many at a time, in
alternating turns. The server's prefix cache is emptied before each turn; its own counters say
which share of the tokens it found there, with our layout of the prompt and with one that has the
text before the label cards.

The ratio that counts is that of neighbouring turns. On a machine where the server and its clients
share the cores it says more of the client's processor time than on one where a GPU is busy, so that
is given as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.common import report, say
from bench.site import ROOT, Site, family

if TYPE_CHECKING:
    from labeling.models import Project, Run
    from llm_worker.clients.passport import ServedModel
    from llm_worker.prompts.build import Prompt

WORKER, BARE, TEXT_FIRST = "worker", "bare", "bare, text before the cards"
SLUG = "throughput"
POLL_SECONDS = 0.02
STOP_TRIES = 200
TURN_SECONDS = 1800.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.llm_throughput", description=__doc__)
    parser.add_argument("--tasks", type=int, default=256, help="tasks in a turn, 256 at most")
    parser.add_argument("--turns", type=int, default=4, help="turns of each way")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        result = measure(min(options.tasks, 256), options.turns, Path(folder))
    report(result, as_json=options.json)


@dataclass
class Turn:
    """One way's turn: seconds of the clock, processor seconds of the client, and the share of the
    prompts' tokens that the server's cache held."""

    seconds: float
    cpu: float
    cached: float


def measure(tasks: int, turns: int, folder: Path) -> dict[str, Any]:
    """All figures."""
    from bench.word_finder import make_model
    from tests.vllm import VllmServer, free_port

    os.environ["VLLM_SERVER_DEV_MODE"] = "1"  # offers to empty the prefix cache
    server = VllmServer(make_model(folder / "vllm" / "model"), free_port())
    site = Site(folder / "var")
    say("starting vLLM ...")
    server.start()
    try:
        project = prepare(site, server.url)
        with worker() as process:
            spent = take_turns(project, server.url, process, tasks, turns)
    finally:
        server.stop()
    return {"tasks": tasks, "turns": turns, **figures(spent, tasks)}


def prepare(site: Site, url: str) -> Project:
    """The demo's labels in a project of its own, with the model as its only validator."""
    from tests.vllm import MODEL

    site.manage("migrate", "--verbosity=0")
    slug = f"{SLUG}-{secrets.token_hex(4)}"
    labels = ROOT / "labeling" / "demo" / "labels.json"
    site.manage("create_project", slug, f"--labels={labels}")
    site.manage("register_validator", slug, "--name=tiny", f"--url={url}", f"--model={MODEL}")
    import django

    django.setup()
    from labeling.models import Project

    return Project.objects.get(slug=slug)


@contextmanager
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A worker as in production, but for one process; it stands still outside of its turns."""
    command = [sys.executable, "-m", "celery", "--app=annotation_site", "worker"]
    command += ["--queues=llm", "--hostname=llm@bench", "--concurrency=1", "--loglevel=ERROR"]
    # Standard output is for the result; Celery greets there.
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=sys.stderr)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        process.terminate()
        process.wait(timeout=60)


def take_turns(
    project: Project, url: str, process: subprocess.Popen[bytes], tasks: int, turns: int
) -> dict[str, list[Turn]]:
    """The turns of each way. The first of all warms everything up and is not counted."""
    spent: dict[str, list[Turn]] = {WORKER: [], BARE: [], TEXT_FIRST: []}
    stand_still(process)
    for number in range(turns + 1):
        run = plan(project, number, tasks)
        model, prompts = prompts_of(run)
        ways = list(spent) if number % 2 else list(reversed(spent))
        for way in ways:
            turn = _turn(way, url, process, run, model, prompts)
            say(f"  turn {number}, {way}: {tasks / turn.seconds:.1f} tasks/s")
            if number:
                spent[way].append(turn)
        check_prompts(run, prompts)
    return spent


def plan(project: Project, number: int, tasks: int) -> Run:
    """Tasks of this turn, with candidates, ready to be validated."""
    from labeling import dispatch
    from labeling.actions.ingest import ingest_predictions
    from labeling.demo import data
    from labeling.models import PlanRow, Run

    texts = [one.text for one in data.texts("stream", "train") if not one.labels][:tasks]
    items = [
        {"external_id": f"{number}-{place}", "text": f"{text} ({number})", "logits": logits}
        for place, (text, logits) in enumerate(zip(texts, logits_of(texts), strict=True))
    ]
    # A run of its own for each turn.
    ingest_predictions(project=project, model_version=f"bench-{number}", items=items, by="bench")
    dispatch.run_here("rerank")
    run = Run.objects.filter(project=project).latest("pk")
    ready = PlanRow.objects.filter(run=run, stage="validate").count()
    if ready != len(items):
        raise SystemExit(f"{ready} of {len(items)} tasks reached the stage validate.")
    return run


def logits_of(texts: Sequence[str]) -> list[list[float]]:
    """As of a classifier: how close each text is to each label's name and description."""
    from labeling.demo import data
    from llm_worker.pipeline import cores

    encode = cores.encoder().encode
    labels = encode([f"{card['name']}. {card['description']}" for card in data.labels()])
    found: list[list[float]] = (20.0 * encode(list(texts)) @ labels.T).tolist()
    return found


def prompts_of(run: Run) -> tuple[ServedModel, dict[int, Prompt]]:
    """The prompt of each task of the run, as the worker makes it."""
    from llm_worker.clients.passport import ServedModel
    from llm_worker.pipeline.validate import requests_of, validators_of
    from llm_worker.prompts.build import build_prompt
    from llm_worker.prompts.families import family_of

    (validator,) = validators_of(run)
    model = ServedModel.from_json(validator.settings)
    requests = requests_of(run, list(run.plan_rows.select_related("task")))
    prompts = {
        task_id: build_prompt(family_of(model.family), request, domain=model.domain)
        for task_id, request in requests.items()
    }
    return model, prompts


def check_prompts(run: Run, prompts: dict[int, Prompt]) -> None:
    """Both ways asked the same: end the program if the worker sent another prompt."""
    from labeling.models import Verdict

    sent = dict(Verdict.objects.filter(run=run).values_list("task_id", "prompt_hash"))
    if sent != {task_id: prompt.hash for task_id, prompt in prompts.items()}:
        raise SystemExit("The worker did not ask every task with the prompt that was expected.")


def _turn(
    way: str,
    url: str,
    process: subprocess.Popen[bytes],
    run: Run,
    model: ServedModel,
    prompts: dict[int, Prompt],
) -> Turn:
    bodies = [body_of(model, prompt, way) for prompt in prompts.values()]
    _post(url, "/reset_prefix_cache")
    before = cache_counters(url)
    if way == WORKER:
        seconds, cpu = through_the_worker(run, process)
    else:
        seconds, cpu = asyncio.run(bare(url, bodies))
    asked, hits = (after - old for after, old in zip(cache_counters(url), before, strict=True))
    return Turn(seconds, cpu, hits / asked)


def body_of(model: ServedModel, prompt: Prompt, way: str) -> bytes:
    """The request, as the worker sends it; with the text first where that is the way."""
    from llm_worker.clients.option_routes import request_body

    tokens = model.passport.tokens
    messages = prompt.messages()
    if way == TEXT_FIRST:
        messages[0] = {**messages[0], "content": with_text_first(prompt.text)}
    body = request_body(
        model.passport.route,
        model=model.model,
        messages=messages,
        tokens={symbol: tokens[symbol] for symbol in prompt.symbols},
    )
    return json.dumps(body, ensure_ascii=False).encode()


def with_text_first(prompt: str) -> str:
    """The same prompt, its text moved before the cards, as one would naively write it."""
    match = re.search(r"\n\[TEXT\]\n.*?\n\[/TEXT\]\n", prompt, re.S)
    if match is None:
        raise SystemExit("The prompt has no block TEXT.")
    rest = prompt[: match.start()] + prompt[match.end() :]
    cards = rest.index("\n[LABEL]")
    return rest[:cards] + match[0] + rest[cards:]


def through_the_worker(run: Run, process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Let the worker go until no task of the run is left at its stage."""
    from labeling.models import PlanRow

    left = PlanRow.objects.filter(run=run, stage="validate")
    used = cpu_seconds(process.pid)
    os.killpg(process.pid, signal.SIGCONT)
    started = time.perf_counter()
    while left.exists():
        time.sleep(POLL_SECONDS)
        if time.perf_counter() - started > TURN_SECONDS or process.poll() is not None:
            raise SystemExit("The worker did not finish its turn.")
    seconds = time.perf_counter() - started
    spent = cpu_seconds(process.pid) - used
    stand_still(process)
    return seconds, spent


def stand_still(process: subprocess.Popen[bytes]) -> None:
    """Stop the worker where it holds no lock: in the middle of a transaction it would keep
    everybody else from SQLite until it goes on."""
    from django.db import OperationalError, connection, transaction

    for _try in range(STOP_TRIES):
        os.killpg(process.pid, signal.SIGSTOP)
        if connection.vendor != "sqlite":
            return
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 200")
        try:
            with transaction.atomic():
                return
        except OperationalError:
            os.killpg(process.pid, signal.SIGCONT)
            time.sleep(POLL_SECONDS)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA busy_timeout = 30000")
    raise SystemExit("The worker never let the database go.")


def cpu_seconds(parent: int) -> float:
    """Processor seconds of a process and those it started."""
    ticks = 0
    for pid in family(parent):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def bare(url: str, bodies: Sequence[bytes]) -> tuple[float, float]:
    """Send everything, as many at a time as the worker does, and read every reply."""
    import httpx2

    from llm_worker.clients.asking import CONNECTIONS

    turn = asyncio.Semaphore(CONNECTIONS)
    headers = {"Content-Type": "application/json"}
    limits = httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=600.0) as client:

        async def ask(body: bytes) -> None:
            async with turn:
                reply = await client.post(f"{url}/chat/completions", content=body)
                reply.raise_for_status()
                reply.json()["choices"][0]["logprobs"]["content"][0]["logprob"]

        started, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(ask(body) for body in bodies))
        return time.perf_counter() - started, time.process_time() - used


def cache_counters(url: str) -> tuple[float, float]:
    """Tokens that the server looked for in its prefix cache so far, and those found there."""
    root = url.removesuffix("/v1")
    with urllib.request.urlopen(f"{root}/metrics", timeout=60) as reply:
        text = reply.read().decode()

    def value(name: str) -> float:
        return sum(float(one) for one in re.findall(rf"^vllm:{name}_total\S* (\S+)$", text, re.M))

    return value("prefix_cache_queries"), value("prefix_cache_hits")


def _post(url: str, path: str) -> None:
    root = url.removesuffix("/v1")
    urllib.request.urlopen(urllib.request.Request(root + path, method="POST"), timeout=60).close()


def figures(spent: dict[str, list[Turn]], tasks: int) -> dict[str, Any]:
    """Rates and ratios of neighbouring turns, each with the least and the most."""
    return {
        "tasks_per_second": {
            way: spread([tasks / turn.seconds for turn in turns]) for way, turns in spent.items()
        },
        "worker_over_bare": spread(
            [
                other.seconds / ours.seconds
                for ours, other in zip(spent[WORKER], spent[BARE], strict=True)
            ]
        ),
        "client_cpu_ms_per_task": {
            way: spread([1000.0 * turn.cpu / tasks for turn in turns])
            for way, turns in spent.items()
        },
        "cached_share_of_prompt_tokens": {
            way: spread([turn.cached for turn in turns]) for way, turns in spent.items()
        },
        "text_first_over_ours": spread(
            [
                ours.seconds / naive.seconds
                for ours, naive in zip(spent[BARE], spent[TEXT_FIRST], strict=True)
            ]
        ),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {
        "median": round(statistics.median(values), 3),
        "least": round(min(values), 3),
        "most": round(max(values), 3),
    }


if __name__ == "__main__":
    main()
