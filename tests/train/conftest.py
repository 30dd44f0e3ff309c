"""One tiny model for all training tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    pytest.importorskip("torch")
    from tiny import build_tiny

    return str(build_tiny(tmp_path_factory.mktemp("tiny") / "model"))
