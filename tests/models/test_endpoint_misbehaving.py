"""An endpoint that misbehaves at random: every prompt has its own answers, once, or a reason."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import pytest

from misstep.models import Question, Sampling, ask_endpoint, http
from misstep.types import Context, Message, Part
from serving import serving

ONE = Sampling(num_generations=1, temperature=1.0, top_p=0.9, max_tokens=32, seed=7)
QUESTIONS = [
    Question(
        messages=(Message(role="user", parts=(Part(kind="text", text=str(n)),)),), context=Context()
    )
    for n in range(60)
]


class Unreliable:
    """Of each ten requests about five fail, in five ways; no more at once than is bearable."""

    def __init__(self, seed: int, bearable: int) -> None:
        self._draw, self._bearable = random.Random(seed), bearable
        self._lock, self._busy = threading.Lock(), 0
        self.turned_down = 0

    def __call__(self, body):
        with self._lock:
            kind = self._draw.random()
            if self._busy >= self._bearable:
                self.turned_down += 1
                return 429, {"Retry-After": "0.02"}, b""
            self._busy += 1
        try:
            time.sleep(0.005)
            return self._reply(kind, body)
        finally:
            with self._lock:
                self._busy -= 1

    def _reply(self, kind, body):
        if kind < 0.1:
            return 429, {"Retry-After": "0.01"}, b"slow down"
        if kind < 0.2:
            return 500, {}, b"oops"
        if kind < 0.3:
            return "cut before"
        if kind < 0.4:
            return 200, {"Content-Length": "500"}, b'{"choices": ['
        if kind < 0.45:
            time.sleep(0.5)
        message = {"role": "assistant", "content": f"to {body['messages'][0]['content']}"}
        return 200, {}, {"choices": [{"message": message, "finish_reason": "stop"}]}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(http, "LONGEST_PAUSE", 0.05)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_lost_doubled_or_mixed_up(seed):
    act = Unreliable(seed, bearable=3)
    with serving(*[act] * 5000) as (server, config):
        config = replace(config, concurrency=5, retries=40, timeout=0.3)
        found = ask_endpoint(config, QUESTIONS, model="m", sampling=ONE)
    assert [[a.text for a in f.answers] for f in found] == [[f"to {n}"] for n in range(60)]
    assert len(server.bodies) > 60 + act.turned_down > 60
