"""A model in a folder: its probabilities are those of a plain forward pass, whatever is reused."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_worker.clients.bias import Bias, orders_of
from llm_worker.clients.local_chat import LocalChat, fingerprint, model_folder
from llm_worker.clients.option_routes import Route
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.transformers_local import TransformersValidator, probe_local
from llm_worker.errors import ArtifactError, RequestRefusedError, UnsuitableServerError
from llm_worker.prompts.build import build_prompt
from llm_worker.prompts.families import ENGLISH
from llm_worker.types import Candidate, Question, ValidationRequest
from llm_worker.validators import validate_all
from tests.random_llm import make_random
from tests.tiny_llm import CONTEXT

TOLERANCE = 1e-5
"""Of a probability: float32, with and without the keys and values of an earlier prompt."""
TOKENIZERS: dict[str, dict[str, bool]] = {
    "merges spaces": {},
    "splits spaces, keeps two digits whole": {"splits": True, "pairs": True},
    "merges spaces, keeps two digits whole": {"pairs": True},
}
CARDS = tuple(
    Candidate(place, name, f"what {name} is about", (f"an example of {name}",))
    for place, name in enumerate(["late", "refund", "address", "card", "other"], start=1)
)


def asked(task_id: int, text: str, question: Question = "multiclass") -> ValidationRequest:
    return ValidationRequest(
        task_id, text, question, CARDS, CARDS[1].label_id if question == "binary" else None
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model with one of `TOKENIZERS`, made when first asked for."""

    @functools.cache
    def made(tokenizer: str) -> Path:
        return make_random(tmp_path_factory.mktemp("models") / "tiny", **TOKENIZERS[tokenizer])

    return made


def served(folder: Path, **changes: Any) -> ServedModel:
    passport = probe_local(folder, family=ENGLISH)
    model = ServedModel("", folder.name, ENGLISH.key, ENGLISH.digest, "A shop.", True, passport)
    return replace(model, **changes)


def plain(folder: Path, model: ServedModel, request: ValidationRequest) -> dict[str, float]:
    """The probability of each option by one forward pass over the whole prompt."""
    import torch
    from transformers import AutoModelForCausalLM

    network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    network.eval()
    prompt = build_prompt(ENGLISH, request, domain=model.domain, reads_documents=True)
    ids = LocalChat(folder).ids(prompt.messages())
    with torch.inference_mode():
        logits = network(torch.tensor([ids]), use_cache=False).logits[0, -1]
    every = torch.softmax(logits.double(), dim=-1).numpy()
    tokens = model.passport.tokens
    return {
        option: float(sum(every[token] for token in tokens[symbol].values()))
        for option, symbol in zip(request.options, prompt.symbols, strict=True)
    }


# --- Exactness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", list(TOKENIZERS))
def test_probabilities_are_those_of_a_pass_over_the_whole_prompt(
    tiny: Callable[[str], Path], tokenizer: str
) -> None:
    folder = tiny(tokenizer)
    model = served(folder)
    requests = [
        asked(1, "my parcel is late"),
        asked(2, "my parcel is 12 days late"),
        asked(3, "где мои деньги?"),
        asked(4, "I was charged 10 twice", "binary"),
        asked(5, "我想换地址", "binary"),
    ]
    results, failures = validate_all(TransformersValidator(model, folder=folder), requests)
    assert failures == []
    for request, result in zip(requests, results, strict=True):
        expected = plain(folder, model, request)
        mass = sum(expected.values())
        assert result.route == "forward_pass"
        assert result.probabilities.mass == pytest.approx(mass, abs=TOLERANCE)
        shares = {option: share / mass for option, share in expected.items()}
        assert result.probabilities.as_dict() == pytest.approx(shares, abs=TOLERANCE)
    reused = {result.task_id: result.cached_tokens for result in results}
    assert reused[4] == 0  # binary questions come first
    assert all((reused[task_id] or 0) > 100 for task_id in (2, 3, 5))


def test_orders_of_the_options_share_all_but_the_list(tiny: Callable[[str], Path]) -> None:
    folder = tiny("merges spaces")
    bias = Bias("shifts", orders=5)
    model = served(folder, bias=bias)
    request = asked(1, "my parcel is late")
    (result,), _failures = validate_all(TransformersValidator(model, folder=folder), [request])
    told = [plain(folder, model, order) for order in orders_of(request, bias)]
    logs = np.mean([np.log([one[option] for option in request.options]) for one in told], axis=0)
    expected = np.exp(logs) / np.exp(logs).sum()
    assert result.probabilities.probabilities == pytest.approx(expected, abs=TOLERANCE)
    assert result.cached_tokens is not None
    assert result.cached_tokens > 0.7 * result.tokens


# --- The passport -------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", list(TOKENIZERS))
def test_the_passport_names_the_tokens_of_each_digit(
    tiny: Callable[[str], Path], tokenizer: str
) -> None:
    passport = probe_local(tiny(tokenizer), family=ENGLISH)
    written = ["1"] if "splits" in tokenizer else ["1", " 1"]
    assert list(passport.tokens["1"]) == written
    assert passport.route is Route.FORWARD
    assert passport.context_tokens == CONTEXT
    assert passport.mass is not None
    assert 0.1 < passport.mass < 1.0
    assert passport.root == fingerprint(tiny(tokenizer))


def test_a_stated_context_bounds_what_is_read(tiny: Callable[[str], Path]) -> None:
    folder = tiny("merges spaces")
    with pytest.raises(UnsuitableServerError, match="reads 300 tokens at a time"):
        probe_local(folder, family=ENGLISH, context=300)
    model = served(folder)
    cramped = replace(model, passport=replace(model.passport, context_tokens=500))
    results, failures = validate_all(
        TransformersValidator(cramped, folder=folder), [asked(1, "a"), asked(2, "Ω" * 3000)]
    )
    assert results == []
    assert {failure.reason for failure in failures} == {RequestRefusedError.reason}


# --- What is not loaded -------------------------------------------------------------------------


@pytest.fixture
def models(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of models that holds one, and a secret beside it."""
    shutil.copytree(tiny("merges spaces"), tmp_path / "models" / "good")
    shutil.copytree(tiny("merges spaces"), tmp_path / "elsewhere")
    return tmp_path / "models"


def test_a_model_is_found_below_the_folder_of_models_only(models: Path) -> None:
    assert model_folder(models, "good") == models / "good"
    (models / "link").symlink_to(models.parent / "elsewhere")
    for name in ("", ".", "..", "../elsewhere", str(models.parent / "elsewhere"), "link"):
        with pytest.raises(ArtifactError, match="is not the name of a folder"):
            model_folder(models, name)
    with pytest.raises(ArtifactError, match="holds no model “other”"):
        model_folder(models, "other")


def test_weights_that_may_hold_code_are_not_loaded(models: Path) -> None:
    (models / "good" / "model.safetensors").rename(models / "good" / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="no weights as safetensors"):
        model_folder(models, "good")


def test_code_beside_a_model_is_not_run(models: Path) -> None:
    marker = models / "ran"
    (models / "good" / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: ...\n")
    for name in ("config.json", "tokenizer_config.json"):
        path = models / "good" / name
        content = path.read_text().rstrip().removesuffix("}").rstrip()
        path.write_text(
            content + ', "auto_map": {"AutoConfig": "evil.Evil", "AutoTokenizer": '
            '["evil.Evil", "evil.Evil"], "AutoModelForCausalLM": "evil.Evil"}}'
        )
    probe_local(models / "good", family=ENGLISH)
    assert not marker.exists()


def test_a_model_whose_files_changed_is_not_asked(models: Path) -> None:
    folder = models / "good"
    client = TransformersValidator(served(folder), folder=folder)
    with (folder / "chat_template.jinja").open("a") as template:
        template.write(" ")
    results, failures = validate_all(client, [asked(1, "where is my parcel")])
    assert results == []
    assert "are not those that were registered" in failures[0].message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_model_is_refused_in_words(models: Path, name: str) -> None:
    (models / "good" / name).write_bytes(b"{ this is not it")
    with pytest.raises(ArtifactError, match=r"cannot be (loaded|read)"):
        probe_local(models / "good", family=ENGLISH)


def test_a_model_without_a_chat_template_is_refused(models: Path) -> None:
    (models / "good" / "chat_template.jinja").unlink()
    with pytest.raises(ArtifactError, match="has no chat template"):
        probe_local(models / "good", family=ENGLISH)
