"""Answers over HTTP, from a server that sometimes misbehaves."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from misstep import store
from misstep.chat import tool_from_chat
from misstep.config import EndpointConfig
from misstep.errors import ConfigError, ModelError
from misstep.models import Question, Sampling, ask_endpoint, http
from misstep.types import Context, Message, Part
from scenes import WEATHER
from serving import RAW, ok, serving

PNG = b"\x89PNG\r\n\x1a\n and what follows"
SAMPLING = Sampling(num_generations=2, temperature=1.0, top_p=0.9, max_tokens=32, seed=7)
ASKED = Message(role="user", parts=(Part(kind="text", text="Weather in Oslo?"),))
QUESTION = Question(messages=(ASKED,), context=Context(tools=(tool_from_chat(WEATHER),)))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def ask(config, *questions, sampling=SAMPLING):
    return ask_endpoint(config, questions or (QUESTION,), model="fallback", sampling=sampling)


def test_one_request_gives_all_answers_with_the_arguments_as_they_were_written():
    with serving() as (server, config):
        (found,) = ask(config)
    assert [a.calls[0].arguments for a in found.answers] == [RAW, RAW]
    assert [(a.finish_reason, a.calls[0].verbatim) for a in found.answers] == [
        ("tool_calls", True)
    ] * 2
    (body,) = server.bodies
    assert {k: body[k] for k in ("model", "n", "seed", "temperature", "top_p", "max_tokens")} == {
        "model": "m",
        "n": 2,
        "seed": 7,
        "temperature": 1.0,
        "top_p": 0.9,
        "max_tokens": 32,
    }
    assert body["messages"] == [{"role": "user", "content": "Weather in Oslo?"}]
    assert body["tools"][0]["function"]["name"] == "weather"


def test_images_are_sent_as_they_were_kept_and_addresses_are_not_passed_on(tmp_path):
    name = store.keep_image(tmp_path, PNG)
    shown, behind = (Part(kind="image", text=text) for text in (name, "http://localhost/page.png"))
    text = Part(kind="text", text="read")
    asked, away = (
        Question(messages=(Message(role="user", parts=parts),), context=Context(), images=tmp_path)
        for parts in ((text, shown), (behind, text))
    )
    with serving() as (server, config):
        found, refused = ask(config, asked, away)
    assert len(found.answers) == 2
    assert (refused.answers, "cannot be sent" in refused.why) == ((), True)
    (body,) = server.bodies
    url = "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "read"},
                {"type": "image_url", "image_url": {"url": url}},
            ],
        }
    ]


def test_an_endpoint_that_gives_one_answer_a_request_is_asked_again_with_other_seeds():
    with serving(lambda body: ok(body, 1)) as (server, config):
        found = ask(config, sampling=replace(SAMPLING, num_generations=3))
    assert len(found[0].answers) == 3
    assert [(body.get("n", 1), body["seed"]) for body in server.bodies] == [(3, 7), (1, 8), (1, 9)]


def test_an_endpoint_that_refuses_n_is_asked_one_by_one():
    no = (400, {}, {"error": {"message": "n must be 1"}})
    with serving(no) as (server, config):
        (found,) = ask(config)
    assert len(found.answers) == 2
    assert ["n" in body for body in server.bodies] == [True, False, False]


def test_an_endpoint_that_knows_the_limit_by_its_newer_name_gets_it():
    no = (400, {}, {"error": {"message": "use 'max_completion_tokens' instead"}})
    with serving(no) as (server, config):
        (found,) = ask(config)
    assert len(found.answers) == 2
    assert server.bodies[-1]["max_completion_tokens"] == 32
    assert "max_tokens" not in server.bodies[-1]


NO = {
    "n must be 1": lambda body: "n" in body,
    "use 'max_completion_tokens' instead": lambda body: "max_tokens" in body,
    "n must be 1; use max_completion_tokens": lambda body: "n" in body or "max_tokens" in body,
}


@pytest.mark.parametrize("said", NO)
def test_requests_under_way_when_the_first_is_refused_lose_no_prompt(said):
    def act(body):
        time.sleep(0.05)  # so that as many requests as may be are under way at once
        return (400, {}, {"error": {"message": said}}) if NO[said](body) else ok(body)

    with serving(*[act] * 99) as (server, config):
        found = ask(replace(config, concurrency=4), *[QUESTION] * 12)
    assert [(len(each.answers), each.why) for each in found] == [(2, "")] * 12
    assert server.most_at_once > 1
    # only those under way at first are refused, twice at most
    assert sum(map(NO[said], server.bodies)) <= 8


def test_a_prompt_that_is_too_long_does_not_make_the_others_be_asked_one_by_one():
    def act(body):
        long = body["messages"][0]["content"] == "long"
        return (400, {}, {"error": {"message": "too long"}}) if long else ok(body)

    long = replace(QUESTION, messages=(replace(ASKED, parts=(Part(kind="text", text="long"),)),))
    with serving(*[act] * 9) as (server, config):
        first, second = ask(replace(config, concurrency=1), long, QUESTION)
    assert (first.why, len(second.answers)) == ("status 400: too long", 2)
    assert [body.get("n", 1) for body in server.bodies] == [2, 1, 2]


@pytest.mark.parametrize(
    "trouble",
    [
        (429, {"Retry-After": "0"}, {"error": "slow down"}),
        (500, {}, b"oops"),
        (503, {"Retry-After": "soon"}, b""),
        "cut before",
        (200, {"Content-Length": "500"}, b'{"choices": ['),
        (200, {}, b'{"choices": ['),
        (200, {}, b"[]"),
        (200, {}, b"<html>busy</html>"),
    ],
    ids=["429", "500", "503", "closed", "cut body", "half JSON", "no object", "a page"],
)
def test_trouble_that_passes_is_asked_again(trouble):
    with serving(trouble, trouble) as (server, config):
        (found,) = ask(config)
    assert (len(found.answers), found.why, len(server.bodies)) == (2, "", 3)


def test_retry_after_is_waited_for_as_a_number_and_as_a_date():
    soon = formatdate(time.time() + 2, usegmt=True)
    number = (429, {"Retry-After": "0.3"}, b"")
    date = (429, {"Retry-After": soon}, b"")
    for trouble in (number, date):
        with serving(trouble) as (_, config):
            start = time.monotonic()
            ask(config)
            assert time.monotonic() - start >= 0.3


def test_while_an_endpoint_is_busy_nobody_sends_it_anything():
    times = []

    def busy(body):
        times.append(time.monotonic())
        return 429, {"Retry-After": "1.0"}, b""

    def fine(body):
        times.append(time.monotonic())
        time.sleep(0.2)
        return ok(body)

    with serving(busy, *[fine] * 30) as (_, config):
        ask(replace(config, concurrency=3), *[QUESTION] * 9)
    first, *rest = times
    assert sum(at - first < 0.9 for at in rest) <= 2  # those that were under way
    assert len(times) == 10


def test_no_more_requests_are_sent_in_a_minute_than_allowed():
    with serving() as (server, config):
        start = time.monotonic()
        ask(replace(config, concurrency=4, requests_per_minute=600), *[QUESTION] * 6)
        assert time.monotonic() - start >= 0.5  # six requests, a tenth of a second apart
    assert server.most_at_once >= 1


def test_answers_are_heard_of_as_they_come():
    def slow(body):
        time.sleep(0.4)
        return ok(body)

    heard = []
    with serving(slow) as (_, config):
        found = ask_endpoint(
            replace(config, concurrency=2),
            [QUESTION] * 4,
            model="m",
            sampling=SAMPLING,
            heard=lambda at, answers: heard.append((at, answers)),
        )
    assert [at for at, _ in heard][-1] in (0, 1)  # the slow one came last
    assert sorted(at for at, _ in heard) == [0, 1, 2, 3]
    assert all(found[at] == answers for at, answers in heard)


@contextmanager
def stalling(said):
    """An address whose first request gets these bytes and no more, and the others an answer."""
    begun, over = Event(), Event()
    first = iter([True])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if next(first, False):
                self.wfile.write(said)
                begun.set()
                over.wait(60)
                return
            begun.wait(10)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(ok(body)[2]).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{ "])
def test_an_interrupt_waits_for_no_request_under_way(said):
    def heard(at, answers):
        raise KeyboardInterrupt

    with stalling(said) as url:
        config = EndpointConfig(url=url, concurrency=2, timeout=20)
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ask_endpoint(config, [QUESTION] * 9, model="m", sampling=SAMPLING, heard=heard)
        assert time.monotonic() - started < 10


def test_an_endpoint_that_asks_for_no_pause_gets_one():
    assert [http._pause(3, asked) for asked in (0.2, 90.0)] == [0.2, http.LONGEST_PAUSE]
    assert http._pause(3, 0.0) >= 4 * http.FIRST_PAUSE


def test_a_slow_answer_is_given_up_and_asked_again():
    def slow(body):
        time.sleep(0.6)
        return ok(body)

    with serving(slow) as (server, config):
        (found,) = ask(replace(config, timeout=0.3))
    assert (len(found.answers), len(server.bodies)) == (2, 2)


def test_a_prompt_that_is_turned_down_has_no_answers_and_a_reason():
    long = (400, {}, {"error": {"message": "maximum context length is 8 tokens"}})
    one = replace(SAMPLING, num_generations=1)
    with serving(long) as (_, config):
        first, second = ask(replace(config, concurrency=1), QUESTION, QUESTION, sampling=one)
    assert first.answers == ()
    assert first.why == "status 400: maximum context length is 8 tokens"
    assert len(second.answers) == 1


def test_a_prompt_that_never_gets_through_is_counted_and_the_others_go_on():
    one = replace(SAMPLING, num_generations=1)
    with serving(*[(500, {}, b"broken")] * 2) as (_, config):
        first, second = ask(
            replace(config, concurrency=1, retries=1), QUESTION, QUESTION, sampling=one
        )
    assert first.why == "no answer after 2 tries: status 500: broken"
    assert len(second.answers) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_no_access_ends_it_at_once(status):
    reply = (status, {"Location": "http://127.0.0.1:9/"}, {"error": {"message": "not for you"}})
    with serving(*[reply] * 9) as (server, config), pytest.raises(ModelError) as raised:
        ask(replace(config, concurrency=1), *[QUESTION] * 9)
    assert str(raised.value) == (
        f"{config.url}/chat/completions: status {status}: not for you; give an address and a model "
        f"that this endpoint serves (--endpoint, --endpoint-model) and a key that it takes in "
        f"$OPENAI_API_KEY"
    )
    assert len(server.bodies) == 1


def test_nobody_there_is_said():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = EndpointConfig(url=f"http://127.0.0.1:{port}", retries=1)
    with pytest.raises(ModelError, match="no request was answered"):
        ask(config)


def test_the_key_comes_from_the_environment_and_is_in_no_body(monkeypatch):
    monkeypatch.setenv("SERVED_KEY", "sk-test-123")
    with serving() as (server, config):
        ask(replace(config, api_key_env="SERVED_KEY"))
    assert server.headers[0]["Authorization"] == "Bearer sk-test-123"
    assert "sk-test-123" not in json.dumps(server.bodies)
    with serving() as (server, config):
        ask(config)
    assert "Authorization" not in server.headers[0]


def test_no_more_prompts_are_asked_at_a_time_than_allowed_and_answers_keep_their_order():
    three = threading.Barrier(3, timeout=30)

    def numbered(body):
        three.wait()
        text = body["messages"][0]["content"]
        message = {"role": "assistant", "content": f"to {text}"}
        return 200, {}, {"choices": [{"message": message, "finish_reason": "stop"}]}

    questions = [
        Question(
            messages=(Message(role="user", parts=(Part(kind="text", text=str(i)),)),),
            context=Context(),
        )
        for i in range(12)
    ]
    with serving(*[numbered] * 12) as (server, config):
        found = ask(
            replace(config, concurrency=3),
            *questions,
            sampling=replace(SAMPLING, num_generations=1),
        )
    assert [f.answers[0].text for f in found] == [f"to {i}" for i in range(12)]
    assert server.most_at_once == 3


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("https://h/v1/", "https://h/v1/chat/completions"),
        ("https://h/api/v3", "https://h/api/v3/chat/completions"),
        ("https://h/x/chat/completions?v=1", "https://h/x/chat/completions?v=1"),
    ],
)
def test_the_address_may_be_a_base_or_the_whole(url, whole):
    assert http.completions_url(url) == whole


def test_an_address_that_is_none_is_a_fault_of_the_settings():
    with pytest.raises(ConfigError, match="expected an address such as http://localhost:8000/v1"):
        http.completions_url("file:///etc/passwd")


def test_the_request_demands_what_the_logged_one_did():
    context = Context(response_schema='{"type": "object"}', tools=QUESTION.context.tools)
    with serving() as (server, config):
        ask(config, replace(QUESTION, context=replace(context, tool_choice="any")))
        ask(config, replace(QUESTION, context=replace(context, tool_choice="weather")))
    first, second = server.bodies
    assert first["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert (first["tool_choice"], second["tool_choice"]["function"]) == (
        "required",
        {"name": "weather"},
    )


def test_an_endpoint_needs_no_torch():
    code = "import sys, misstep.models.endpoint; print([m for m in sys.modules if m == 'torch'])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
