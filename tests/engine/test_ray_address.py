"""A Ray cluster that cannot be reached is a wrong set-up, told in words."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from misstep.engine import RayEngine
from misstep.errors import SetupError


@pytest.mark.parametrize(
    ("address", "said"), [("10.0.0.9:6379", "--ray-address"), (None, "leave --engine ray out")]
)
@pytest.mark.parametrize("error", [ConnectionError, RuntimeError, ValueError, TimeoutError])
def test_a_cluster_that_cannot_be_reached_is_told(monkeypatch, address, said, error):
    def init(**_):
        raise error("no answer")

    fake = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setitem(sys.modules, "ray", fake)
    engine = RayEngine(address)
    with pytest.raises(SetupError, match=rf"no answer.*{said}"), engine:
        pass
