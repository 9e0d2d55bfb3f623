"""A real server behind a proxy that goes wrong: the run completes, every task ends with a verdict
or a sentence, and nothing is said twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone

from labeling import rules
from labeling.actions.runs import close_run
from labeling.models import Decision, PlanRow, Project, Run, Stage, Verdict
from llm_worker.clients import asking, breaker
from llm_worker.clients.json_server import Patience
from tests.pipeline import world
from tests.pipeline.test_commands import command
from tests.pipeline.test_stages import check_all_accounted_for
from tests.proxy import FaultyProxy
from tests.vllm import MODEL, VllmServer

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

Fault = Callable[[str, int], str]
Proxy = Callable[[Fault], FaultyProxy]


@pytest.fixture
def proxy(
    shop: Project, vllm_server: VllmServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    """Makes a proxy before the server, and registers the model through it; then it may fail."""
    monkeypatch.setattr(asking, "PATIENCE", Patience(connect_s=60.0, answer_s=60.0, tries=1))
    made: list[FaultyProxy] = []

    def register(fault: Fault) -> FaultyProxy:
        faulty = FaultyProxy(vllm_server.port, lambda path, place: "")
        made.append(faulty)
        url = ["--url", faulty.url, "--model", MODEL]
        command("register_validator", world.SLUG, "--name", "tiny", *url)
        first = faulty.asked
        faulty.fault = lambda path, place: fault(path, place - first if place >= 0 else -1)
        return faulty

    yield register
    for faulty in made:
        faulty.close()


def work_off_with_retries() -> None:
    """As beat would, whose clock is put forward: until no task is due any more, and runs close."""
    for _ in range(rules.MAX_ATTEMPTS + 1):
        world.work_off()
        PlanRow.objects.exclude(stage=Stage.DONE).update(due_at=timezone.now())
    for run in Run.objects.filter(status=Run.Status.OPEN):
        close_run(run)


def check_nothing_twice(shop: Project) -> dict[int, str]:
    """Each task has at most one verdict of the LLM; the sentence of each that failed, or empty."""
    check_all_accounted_for(shop)
    assert not Run.objects.filter(project=shop).exclude(status="completed").exists()
    verdicts = list(Verdict.objects.filter(validator__kind="llm"))
    assert max(Counter(verdict.task_id for verdict in verdicts).values(), default=1) == 1
    assert all(bool(one.probabilities) != bool(one.failure) for one in verdicts)
    said = {verdict.task_id: verdict.failure for verdict in verdicts}
    for decision in Decision.objects.filter(reason="machine_failed"):
        assert decision.detail
        said[decision.task_id] = decision.detail
    assert len(said) == len(world.stream())
    return said


def test_every_fault_at_once_leaves_each_task_with_a_verdict_or_a_sentence(
    shop: Project, proxy: Proxy
) -> None:
    """Every second question goes wrong the first time it is asked, each in another way."""
    ways = ["500", "drop", "half", "nan", "gone", "overflow", "empty", "slow"]
    faulty = proxy(lambda path, place: ways[place // 2] if place in range(0, 16, 2) else "")
    world.send_stream(shop)
    work_off_with_retries()
    said = check_nothing_twice(shop)
    assert sorted(set(faulty.done)) == sorted(ways)
    failed = sorted(sentence for sentence in said.values() if sentence)
    # What may pass is asked again and answered; what the server said of the one question stands.
    assert len(failed) == 3
    assert any("maximum context length is 2048 tokens" in sentence for sentence in failed)
    assert any("NaN is not a number" in sentence for sentence in failed)
    assert any("no log-probabilities of a first token" in sentence for sentence in failed)


def test_a_server_that_hangs_up_in_mid_run_is_asked_again_when_it_is_back(
    shop: Project, proxy: Proxy
) -> None:
    faulty = proxy(lambda path, place: "drop" if place >= 5 else "")
    world.send_stream(shop)
    world.work_off()
    before = set(Verdict.objects.filter(validator__kind="llm").values_list("pk", flat=True))
    assert 0 < len(before) < len(world.stream())
    waiting = PlanRow.objects.exclude(failure="")
    assert waiting.exists()
    assert all("cannot be reached" in row.failure for row in waiting)
    assert not Decision.objects.filter(reason="machine_failed").exists()
    faulty.fault = lambda path, place: ""
    breaker.breaker_of(faulty.url).answered()  # as if the pause were over
    work_off_with_retries()
    said = check_nothing_twice(shop)
    assert not any(said.values())
    assert before < set(Verdict.objects.filter(validator__kind="llm").values_list("pk", flat=True))


def test_a_server_killed_with_signal_nine_is_asked_again_when_it_was_started_again(
    shop: Project, proxy: Proxy, vllm_server: VllmServer
) -> None:
    """The real one, with all its processes, in the middle of a question."""

    def kill_it(path: str, place: int) -> str:
        if place == 5:
            vllm_server.kill()
        return ""

    faulty = proxy(kill_it)
    world.send_stream(shop)
    world.work_off()
    waiting = PlanRow.objects.exclude(failure="")
    assert waiting.exists()
    assert all("cannot be reached" in row.failure for row in waiting)
    assert not Decision.objects.filter(reason="machine_failed").exists()
    before = set(Verdict.objects.filter(validator__kind="llm").values_list("pk", flat=True))
    vllm_server.start()
    breaker.breaker_of(faulty.url).answered()  # as if the pause were over
    work_off_with_retries()
    assert not any(check_nothing_twice(shop).values())
    after = set(Verdict.objects.filter(validator__kind="llm").values_list("pk", flat=True))
    assert before < after


def test_a_model_name_that_vanishes_is_said_and_comes_back(shop: Project, proxy: Proxy) -> None:
    faulty = proxy(lambda path, place: "gone" if path == "/v1/models" else "")
    world.send_stream(shop)
    world.work_off()
    rows = PlanRow.objects.all()
    assert {row.stage for row in rows} == {Stage.VALIDATE}
    assert all("The model `tiny` does not exist" in row.failure for row in rows)
    faulty.fault = lambda path, place: ""
    work_off_with_retries()
    assert not any(check_nothing_twice(shop).values())


def test_a_server_that_only_fails_is_left_alone_and_people_take_over(
    shop: Project, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PAUSE_SECONDS", 1e6)
    faulty = proxy(lambda path, place: "500" if place >= 0 else "")
    world.send_stream(shop)
    world.work_off()
    asked = len(faulty.done)
    assert breaker.FAILURES <= asked <= len(world.stream())
    PlanRow.objects.update(due_at=timezone.now())
    world.work_off()
    assert all("is left alone for" in row.failure for row in PlanRow.objects.all())
    work_off_with_retries()
    assert len(faulty.done) == asked
    said = check_nothing_twice(shop)
    assert all("internal error" in sentence for sentence in said.values())
    assert set(Decision.objects.values_list("outcome", "reason")) == {("defer", "machine_failed")}
