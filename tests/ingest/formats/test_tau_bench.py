"""tau-bench: the sample, and the published runs."""

from __future__ import annotations

import json

from corpus import CORPUS, needs_corpus
from misstep.ingest import ingest
from misstep.types import Outcome
from reading import balances
from samples import read_sample


def test_the_sample_holds_two_trials_of_one_task():
    got = read_sample("tau-bench")
    balances(got)
    good, bad = got.sessions
    assert good.family == bad.family
    assert [s.outcome for s in got.sessions] == [Outcome(reward=1.0), Outcome(reward=0.0)]
    assert [c.arguments for m in bad.messages for c in m.calls] == [
        '{"order":"A17"}',
        '{"order_id":"A17"',
        '{"order_id":"A17"}',
    ]
    assert {m.actor for m in good.messages if m.role == "user"} == {"simulated-user"}


@needs_corpus
def test_the_published_runs_count_as_plain_code_counts_them():
    path = CORPUS / "logs" / "tau-bench" / "gpt-4o-airline.json"
    got = ingest([path])
    balances(got)
    runs = json.loads(path.read_text())
    assert len(got.sessions) == len(runs) == 200
    rows = [message for run in runs for message in run["traj"]]
    assert sum(len(list(s.steps)) for s in got.sessions) == sum(
        row["role"] == "assistant" for row in rows
    )
    calls = sum(len(row.get("tool_calls") or ()) for row in rows)
    assert sum(len(m.calls) for s in got.sessions for m in s.messages) == calls == 1164
