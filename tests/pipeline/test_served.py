"""Mining with a served model: its answers to the failed prompts become both sides of pairs."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from logs import WRONG, session, write
from misstep import api, store
from misstep.cli import main
from misstep.config import load_config
from misstep.errors import ConfigError
from misstep.pipeline.halfway import Halfway
from serving import serving


def played(body: dict) -> tuple:
    """Half of the answers are right, half are wrong in another way."""
    minutes = re.findall(r"\d+", body["messages"][-1]["content"])[0]
    texts = [f'{{"minutes": {minutes}}}', '{"minutes": "soon"}']
    tool = body["tools"][0]["function"]["name"]
    choices = [
        {
            "message": {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": tool, "arguments": text}}
                ],
            },
            "finish_reason": "tool_calls",
        }
        for text in texts[: body.get("n", 1)]
    ]
    return 200, {}, {"choices": choices}


def test_a_served_model_is_asked_the_failed_prompts_and_paired(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(n, WRONG % n) for n in range(3, 15)])
    told = [
        "--set",
        "resample.num_generations=2",
        "--set",
        "mine.sources=[resample]",
        "--set",
        "mine.min_votes=1",
    ]
    with serving(*[played] * 99) as (server, config):
        command = ["mine", str(log), "-o", str(tmp_path / "run"), "--endpoint", config.url]
        command += ["--endpoint-model", "served", "--json", *told]
        done = CliRunner().invoke(main, command)
        again = CliRunner().invoke(main, command)
        asked = len(server.bodies)
    assert (done.exit_code, again.exit_code) == (0, 0), done.output
    facts = json.loads(done.stdout)
    assert facts["sources"] == {"resample": facts["pairs"]}
    assert facts["candidates"] == asked > 0  # one for each prompt; the second run asked nothing
    assert {body["model"] for body in server.bodies} == {"served"}
    rows = store.read_rows(tmp_path / "run/pairs/train.parquet")
    assert {row["model_chosen"] for row in rows} == {"resample"}


def test_answers_that_came_before_an_interruption_are_not_asked_for_again(tmp_path, monkeypatch):
    log = write(tmp_path / "log.jsonl", [session(n, WRONG % n) for n in range(3, 15)])
    told = {"resample.num_generations": 2, "mine.sources": ["resample"], "mine.min_votes": 1}

    def mined(name, config):
        config = load_config(None, {**told, "endpoint.url": config.url, "endpoint.concurrency": 1})
        api.mine([log], tmp_path / name, config, resample=True)
        rows = store.read_rows(tmp_path / name / "answers/resample.parquet")
        return sorted((r["session"], r["step"], r["answer"]) for r in rows)

    with serving(*[played] * 99) as (server, config):
        whole = mined("whole", config)
        every = len(server.bodies)
        add, added = Halfway.add, []

        def enough(kept, key, value):
            add(kept, key, value)
            added.append(key)
            if len(added) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr(Halfway, "add", enough)
        with pytest.raises(KeyboardInterrupt):
            mined("cut", config)
        monkeypatch.setattr(Halfway, "add", add)
        asked = len(server.bodies)
        assert mined("cut", config) == whole
        assert len(server.bodies) - asked == every - len(added)
    assert not list((tmp_path / "cut").rglob("*.part"))


def test_an_endpoint_that_is_not_there_is_the_users_set_up(tmp_path):
    log = write(tmp_path / "log.jsonl", [session(n, WRONG % n) for n in range(3, 9)])
    done = CliRunner().invoke(
        main,
        ["mine", str(log), "-o", str(tmp_path / "run"), "--endpoint", "localhost:8000", "--quiet"],
    )
    assert done.exit_code == 2
    assert "expected an address such as http://localhost:8000/v1" in done.output


def test_several_rounds_of_a_served_model_are_refused_before_anything(tmp_path):
    told = {"rounds": 2, "endpoint.url": "http://localhost:1/v1"}
    with pytest.raises(ConfigError, match=r"rounds: 2 with endpoint.url.*set rounds to 1"):
        api.run([tmp_path], tmp_path / "run", load_config(None, told))
    assert not (tmp_path / "run").exists()


RECIPE = ("--recipe", "tool-calls", "--preset", "cpu")
SMALL = (
    *("--set", "sample.max_new_tokens=6", "--set", "sft.max_steps=1", "--set", "dtype=float32"),
    *("--set", "lora.lora_r=2", "--set", "sft.max_length=2048", "--set", "dpo.max_length=2048"),
)


@pytest.fixture
def tool_calls(tmp_path, tiny_model):
    """Runs `misstep run` with the recipe on a served model."""
    log = write(tmp_path / "log.jsonl", [session(n, WRONG % n) for n in range(3, 15)])

    def ran(url, *more):
        words = ["run", str(log), "-o", str(tmp_path / "run"), "--endpoint", url]
        words += ["--endpoint-model", "served", "--model", tiny_model, *RECIPE, *SMALL, *more]
        return CliRunner().invoke(main, words)

    return ran


LEFT_OUT = "rft is left out: an endpoint goes on answering as it did before that stage"
ONCE = "rounds: 1, not 2 as in the recipe tool-calls: an endpoint serves the same model in every"
HELD = "without rft its demands are made of the pairs themselves: mine.min_votes 2, "


@pytest.mark.slow
def test_the_recipe_of_several_rounds_has_one_with_a_served_model_and_the_plan_says_so(
    tool_calls, tmp_path
):
    with serving(*[played] * 99) as (_, config):
        plan = tool_calls(config.url, "--dry-run")
        done = tool_calls(config.url, "--until", "mine")
    assert (plan.exit_code, done.exit_code) == (0, 0), done.output
    assert ONCE in plan.stderr
    assert ONCE in done.stderr
    for line in (LEFT_OUT, HELD):
        assert f"  note       {line}" in plan.stdout
        assert line in done.stderr
    assert "  rounds " not in plan.stdout
    assert "  rft        " not in plan.stdout
    run = tmp_path / "run"
    assert f"mine is done ({run}/pairs)" in done.stdout
    assert not (run / "rounds").exists()
    kept = load_config(run / "config.yaml")
    assert (kept.rounds, kept.recipe) == (1, "tool-calls")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["flag", "set", "file"])
def test_rounds_that_the_user_asks_for_are_refused_with_a_served_model(tool_calls, tmp_path, how):
    file = tmp_path / "own.yaml"
    file.write_text("rounds: 2\n")
    said = {
        "flag": ("--rounds", "2"),
        "set": ("--set", "rounds=2"),
        "file": ("--config", str(file)),
    }[how]
    for more in ((), ("--dry-run",)):
        done = tool_calls("http://127.0.0.1:1/v1", *said, *more)
        assert done.exit_code == 2
        assert "rounds: 2 with endpoint.url" in done.stderr
