"""One tiny model for all training tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    pytest.importorskip("torch")
    from tiny import build_tiny

    return str(build_tiny(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """A tiny model is slower on several threads, much slower on a busy machine."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """What one test measures is no other's; nothing is written to the user's cache."""
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path / "cache"))
