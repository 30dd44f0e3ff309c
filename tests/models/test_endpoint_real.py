"""The endpoint sampler against a real server: `transformers serve` on a tiny model.

The model has learnt one answer to each of three prompts by heart, a tool call among them, so what
the server makes of prompts, tools and answers can be set beside what sampling here makes of them.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from urllib.error import URLError
from urllib.request import urlopen

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
for package in ("fastapi", "uvicorn", "openai"):
    pytest.importorskip(package, reason="`transformers serve` needs it (the dev extra has it)")

from misstep.chat import tool_from_chat  # noqa: E402
from misstep.config import EndpointConfig  # noqa: E402
from misstep.models import Question, Sampling, ask_endpoint, load, sample  # noqa: E402
from misstep.types import Context, Message, Part, ToolCall, ToolResult  # noqa: E402
from scenes import WEATHER  # noqa: E402
from tiny import NATIVE, build_tiny  # noqa: E402

pytestmark = pytest.mark.slow
ARGUMENTS = '{"city": "Oslo", "days": 3}'
OFFER = Context(tools=(tool_from_chat(WEATHER),))


def said(role, text):
    return Message(role=role, parts=(Part(kind="text", text=text),))


ASKED = said("user", "Weather in Oslo?")
CALLED = Message(
    role="assistant",
    parts=(
        Part(kind="call", call=ToolCall(index=0, name="weather", arguments=ARGUMENTS, id="c1")),
    ),
)
FOUND = Message(
    role="tool", parts=(Part(kind="result", result=ToolResult(call_id="c1", text="7 degrees")),)
)
SCRIPT = {
    "call": (
        Question(messages=(ASKED,), context=OFFER),
        f'<tool_call>\n{{"name": "weather", "arguments": {ARGUMENTS}}}\n</tool_call>',
    ),
    "result": (
        Question(messages=(ASKED, CALLED, FOUND), context=OFFER),
        "It is 7 degrees in Oslo.",
    ),
    "plain": (
        Question(messages=(said("system", "Be short."), said("user", "Hi!")), context=Context()),
        "Hello, Åse.",
    ),
}


def prompt_of(loaded, question):
    return loaded.template.prompt_ids(question.messages, question.context)


def learnt(folder):
    """The tiny model, once it gives every answer of the script."""
    loaded = load(str(build_tiny(folder, kind="qwen3", template=NATIVE)), dtype="float32")
    rows = []
    for question, answer in SCRIPT.values():
        prompt = prompt_of(loaded, question)
        ids = loaded.tokenizer.encode(answer, add_special_tokens=False)
        rows.append((prompt, [*ids, loaded.template.end_id]))
    optimizer = torch.optim.Adam(loaded.network.parameters(), lr=5e-3)
    for _ in range(80):
        for prompt, answer in rows:
            ids = torch.tensor([prompt + answer])
            labels = ids.clone()
            labels[:, : len(prompt)] = -100
            loaded.network(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loaded.network.save_pretrained(folder)
    return load(str(folder), dtype="float32")


@contextmanager
def transformers_serve(folder, log):
    """The address of `transformers serve` on that model alone; it reaches no hub."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    words += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        server = subprocess.Popen(
            words, env={**os.environ, **quiet}, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url, server, log):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            urlopen(url, timeout=5).close()
        except (URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"no answer within two minutes: {log.read_text()}")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The model, and an endpoint that serves it."""
    folder = tmp_path_factory.mktemp("served") / "model"
    loaded = learnt(folder)
    with transformers_serve(folder, folder.parent / "log.txt") as url:
        yield loaded, EndpointConfig(url=url, model=str(folder), retries=1)


SAMPLING = Sampling(num_generations=2, temperature=0.0, top_p=1.0, max_tokens=48, seed=7)


def test_a_real_server_answers_as_sampling_here_does(served):
    loaded, config = served
    questions = [question for question, _ in SCRIPT.values()] * 2
    prompts = [prompt_of(loaded, question) for question in questions]
    here = sample(loaded, prompts, temperature=0, max_new_tokens=48)
    assert [a.text for (a,) in here] == [answer for _, answer in SCRIPT.values()] * 2
    there = ask_endpoint(config, questions, model="unused", sampling=SAMPLING)
    for question, (answer,), found in zip(questions, here, there, strict=True):
        parsed = loaded.template.parse(answer.text, question.context)
        wanted = (parsed.text, [(call.name, call.arguments) for call in parsed.calls])
        got = [(m.text, [(c.name, c.arguments) for c in m.calls]) for m in found.answers]
        assert (found.why, got) == ("", [wanted] * 2)
    finished = [{m.finish_reason for m in found.answers} for found in there[:3]]
    assert finished == [{"tool_calls"}, {"stop"}, {"stop"}]
    assert there[0].answers[0].usage.input_tokens == len(prompts[0])


def test_a_real_server_cuts_at_the_limit_and_says_so(served):
    _, config = served
    short = replace(SAMPLING, num_generations=1, max_tokens=3)
    (found,) = ask_endpoint(config, [SCRIPT["plain"][0]], model="unused", sampling=short)
    (answer,) = found.answers
    assert (answer.finish_reason, answer.usage.output_tokens) == ("length", 3)


def test_a_real_server_that_serves_another_model_is_told_with_its_words(served):
    _, config = served
    wrong = replace(config, model="no/such-model")
    (found,) = ask_endpoint(wrong, [SCRIPT["plain"][0]], model="unused", sampling=SAMPLING)
    assert found.answers == ()
    assert "Server is pinned to" in found.why
