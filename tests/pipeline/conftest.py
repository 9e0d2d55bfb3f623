"""The trained parts are made once a session; every test has a shop of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from labeling.models import Project
from llm_worker.pipeline import training
from tests.pipeline import world


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another on busy cores make small tensors ten times slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def trained(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> world.Trained:
    """Classifier, nearest texts and cross-encoder on disk, in two folds to save time."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "FOLDS", 2)
        return world.train(tmp_path_factory.mktemp("shop") / "train.csv")


@pytest.fixture
def shop(db: None, trained: world.Trained) -> Project:
    """The shop with everything trained and in use."""
    project = world.make_shop()
    world.put_in_use(project, trained)
    return project
