"""Mutated samples of every format: no exception leaves a reader, and the counts always balance.

`benchmarks/fuzz.py` runs ten thousand cases; here are a few hundred.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from misstep import store
from misstep.config import IngestConfig
from misstep.ingest import FORMATS, ingest
from misstep.types import Session
from mutate import case, samples
from reading import balances
from samples import LOGS


@pytest.mark.parametrize("name", samples(LOGS))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
@given(seed=st.integers(0, 2**32), forced=st.none() | st.sampled_from(FORMATS))
def test_a_mutated_sample_is_read_or_set_aside(name, seed, forced, tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    case(LOGS / name, folder, random.Random(seed))
    got = ingest([folder], config=IngestConfig(format=forced and forced.name))
    balances(got)
    for session in got.sessions:
        assert store.decode(store.encode(session).decode(), Session) == session
