"""Images in a run folder: kept by the scan, let into pairs, forgotten with their sessions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ocr_pages as pages
from misstep import api, evaluate, mine, store
from misstep.config import RunConfig, dump_config, load_config
from misstep.pipeline.forget import forget
from misstep.pipeline.golds import golds_of
from misstep.pipeline.job import Job
from misstep.pipeline.kept import corpus_of, scan_stage
from misstep.pipeline.pageview import MOST, page_rows
from misstep.pipeline.plan import _head
from misstep.pipeline.scan import scan
from misstep.pipeline.timing import FILE, write_timing
from misstep.pipeline.view import view
from misstep.report import scan_summary
from misstep.types import Message, Part, Prompt, Usage, Verdict

SCHEMA = {"type": "json_schema", "json_schema": {"schema": store.schema("ocr-page")}}
GOOD = pages.gold_text(pages.GOLDS[0])
LOOP = '{"text": "' + "Aos três dias do mês de março, " * 30


def request(gold: dict[str, str], answer: str, finish: str) -> dict[str, Any]:
    """One OCR request as an OpenAI-compatible server logs it."""
    image = {"type": "image_url", "image_url": {"url": pages.data_uri(gold)}}
    asked = {"role": "user", "content": [{"type": "text", "text": "Read the page."}, image]}
    message = {"role": "assistant", "content": answer}
    return {
        "request": {"model": "ocr", "messages": [asked], "response_format": SCHEMA},
        "response": {"choices": [{"finish_reason": finish, "message": message}]},
    }


def write_logs(folder: Path) -> Path:
    """Two pages; each was once read well, and once in a loop."""
    folder.mkdir()
    lines = [
        request(gold, answer, finish)
        for gold in pages.GOLDS[:2]
        for answer, finish in ((GOOD, "stop"), (LOOP, "length"))
    ]
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def config(**more: Any) -> RunConfig:
    return load_config(None, {"mine.off_policy": True, "ingest.workers": 1, **more})


@pytest.fixture
def mined(tmp_path: Path) -> tuple[Path, Path]:
    logs, run = write_logs(tmp_path / "logs"), tmp_path / "run"
    api.mine([logs], run, config(), resample=False)
    return logs, run


def pair_rows(run: Path) -> list[dict[str, Any]]:
    return [
        row
        for part in ("train", "dev")
        if (run / f"pairs/{part}.parquet").exists()
        for row in store.read_rows(run / f"pairs/{part}.parquet")
    ]


def test_a_loop_and_a_clean_reading_of_one_image_are_a_pair(mined: tuple[Path, Path]) -> None:
    _, run = mined
    (row,) = pair_rows(run)
    assert row["codes"] == ["REP_LOOP"]
    assert row["chosen"][0]["content"] == GOOD
    (name,) = row["images"]
    assert store.image_path(run / "images", name).read_bytes() in {
        pages.image_bytes(gold) for gold in pages.GOLDS[:2]
    }
    sides = mine.row_to_sides(mine.tidy(row))
    assert [p.text for m in sides.prompt for p in m.parts if p.kind == "image"] == [name]
    assert row["cut"]


def test_another_format_cannot_say_an_image_and_counts_it(tmp_path: Path) -> None:
    logs, run = write_logs(tmp_path / "logs"), tmp_path / "run"
    api.mine([logs], run, api.writing(config(), ("openai",)), resample=False)
    assert not (run / "openai" / "pairs").exists()


def test_an_address_and_an_image_that_is_gone_make_no_pair(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    lines = [request(pages.GOLDS[0], *told) for told in ((GOOD, "stop"), (LOOP, "length"))]
    for line in lines:
        image = line["request"]["messages"][0]["content"][1]
        image["image_url"]["url"] = "https://example.org/page.png"
    (logs / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    api.mine([logs], tmp_path / "run", config(), resample=False)
    assert pair_rows(tmp_path / "run") == []
    assert not (tmp_path / "run" / "images").exists()


def scanned(tmp_path: Path) -> tuple[Job, mine.Corpus]:
    folder = pages.write_benchmark(tmp_path / "bench")
    job = Job(folder=store.RunFolder(tmp_path / "run"), config=config())
    return job, scan_stage(job, [folder])


def test_a_scan_keeps_the_images_once_and_again_where_they_were_lost(tmp_path: Path) -> None:
    job, corpus = scanned(tmp_path)
    kept = sorted(path.name for path in (tmp_path / "run" / "images").iterdir())
    assert len(kept) == 3
    prompts = [Prompt(session=name, step=2) for name in corpus.sessions]
    assert [corpus.unfit(prompt) for prompt in prompts] == [None] * 3
    (tmp_path / "run" / "images" / kept[0]).unlink()
    assert sum(corpus.unfit(prompt) is not None for prompt in prompts) == 1
    said: list[str] = []
    scan_stage(replace(job, say=said.append), [tmp_path / "bench"])
    assert said == ["scan: unchanged, kept"]
    for path in (tmp_path / "run" / "images").iterdir():
        path.unlink()
    (tmp_path / "run" / "images").rmdir()
    scan_stage(job, [tmp_path / "bench"])
    assert sorted(path.name for path in (tmp_path / "run" / "images").iterdir()) == kept


def test_moving_a_run_folder_does_not_scan_again(tmp_path: Path) -> None:
    job, _ = scanned(tmp_path)
    (tmp_path / "run").rename(tmp_path / "moved")
    said: list[str] = []
    moved = replace(job, folder=store.RunFolder(tmp_path / "moved"), say=said.append)
    scan_stage(moved, [tmp_path / "bench"])
    assert said == ["scan: unchanged, kept"]


def test_what_is_forgotten_takes_its_image_along(mined: tuple[Path, Path]) -> None:
    _, run = mined
    rows = {r["id"]: r["session"] for r in store.read_rows(run / "sessions.parquet")}
    names = {path.name for path in (run / "images").iterdir()}
    assert len(names) == 2
    gone = next(iter(names))
    forget(run, [name for name, text in rows.items() if gone in text])
    assert {path.name for path in (run / "images").iterdir()} == names - {gone}


def test_the_schema_of_the_answers_is_that_of_the_gold(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "maxProperties": 1}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    folder = pages.write_benchmark(tmp_path / "bench")
    settings = config(**{"validate.schema": str(tmp_path / "schema.json")})
    corpus = scan_stage(Job(folder=store.RunFolder(tmp_path / "run"), config=settings), [folder])
    (session,) = corpus.sessions.values()
    assert json.loads(session.messages[-1].text) == pages.GOLDS[1]
    assert json.loads(session.contexts[0].response_schema or "") == schema


def held_of(corpus: mine.Corpus) -> list[evaluate.Held]:
    return [
        evaluate.Held(
            prompt=Prompt(session=name, step=len(session.messages) - 1),
            family=name,
            demand_call=False,
            accepted=None,
            logged=Verdict(session=name, step=2, state="pass"),
        )
        for name, session in corpus.sessions.items()
    ]


def test_the_gold_of_a_page_is_gold_and_a_reference_goes_first(tmp_path: Path) -> None:
    _, corpus = scanned(tmp_path)
    held = held_of(corpus)
    golds = golds_of(corpus, held, config())
    assert sorted(golds.values()) == sorted(map(pages.gold_text, pages.GOLDS))
    (tmp_path / "refs.jsonl").write_text(
        '{"id": "page-1", "answer": "{\\"text\\": \\"outro\\"}"}\n'
    )
    golds = golds_of(corpus, held, config(**{"mine.references": str(tmp_path / "refs.jsonl")}))
    assert sorted(golds.values())[-1] == '{"text": "outro"}'
    assert len(golds) == 3


def test_what_a_model_logged_is_no_gold(mined: tuple[Path, Path]) -> None:
    corpus = corpus_of(store.RunFolder(mined[1]))
    assert golds_of(corpus, held_of(corpus), config()) == {}


def test_the_report_shows_few_pages_small_with_the_loop_marked(tmp_path: Path) -> None:
    gold = {"text": "Nome: maria@example.org\n" + "linha de texto " * 20}
    rows = [pages.benchmark_row(n, gold) for n in range(MOST + 4)]
    for number, row in enumerate(rows):
        row["image"]["bytes"] = pages.image_bytes({"text": f"{number}"}, size=(2480, 3508))
    folder = pages.write_benchmark(tmp_path / "bench", rows)
    job = Job(folder=store.RunFolder(tmp_path / "run"), config=config())
    corpus = scan_stage(job, [folder])
    held = held_of(corpus)
    store.write_rows(
        tmp_path / "run" / "heldout.parquet",
        [{"session": h.prompt.session, "step": h.prompt.step, "gold": GOOD} for h in held],
    )
    looping = sorted(corpus.sessions)[-1]
    answers = []
    for each in held:
        looped = each.prompt.session == looping
        parts = (Part(kind="text", text=LOOP if looped else GOOD),)
        message = Message(role="assistant", parts=parts, finish_reason="stop")
        row = {"session": each.prompt.session, "step": each.prompt.step, "kind": "greedy"}
        answers.append({**row, "answer": store.encode(message).decode(), "seconds": 1.0})
    (tmp_path / "run" / "answers").mkdir()
    store.write_rows(tmp_path / "run" / "answers" / "sft.parquet", answers)
    shown = page_rows(tmp_path / "run", config(), ["sft", "dpo"])
    assert len(shown) == MOST
    first = shown[0]
    assert (first["answers"][0]["codes"], first["answers"][0]["published"]) == (["REP_LOOP"], False)
    assert any(look == "mark" for _, look in first["answers"][0]["runs"])
    assert first["gold"].startswith("header: Diário do Município\ntext: Aos três dias")
    assert (first["width"], first["height"], first["shown_height"]) == (2480, 3508, 560)
    assert sum(len(row["image"]) for row in shown) < 500_000
    assert [answer["score"] for answer in shown[1]["answers"]] == [1.0]


def test_wall_clock_is_told_with_the_share_that_loops_took(tmp_path: Path) -> None:
    job, corpus = scanned(tmp_path)
    rows = []
    for at, each in enumerate(held_of(corpus)):
        parts = (Part(kind="text", text=GOOD if at else LOOP),)
        finish = "stop" if at else "length"
        usage = Usage(output_tokens=10 if at else 80)
        message = Message(role="assistant", parts=parts, finish_reason=finish, usage=usage)
        rows.append(
            {
                "session": each.prompt.session,
                "step": each.prompt.step,
                "kind": "greedy",
                "answer": store.encode(message).decode(),
                "seconds": 0.5 if at else 3.0,
            }
        )
    (tmp_path / "run" / "answers").mkdir()
    store.write_rows(tmp_path / "run" / "answers" / "sft.parquet", rows)
    (row,) = write_timing(job, corpus, ["sft"])
    assert store.read_json(tmp_path / "run" / FILE) == {"rows": [row], "spent": []}
    assert row == {
        "model": "sft",
        "kind": "greedy",
        "answers": 3,
        "seconds": 4.0,
        "tokens": 100,
        "loop_answers": 1,
        "loop_seconds": 3.0,
        "loop_share": 0.75,
        "seconds_per_answer": round(4 / 3, 4),
    }


def by_url(folder: Path, count: int = 2) -> Path:
    """Requests whose images stand in the log as addresses."""
    folder.mkdir()
    lines = [request(pages.GOLDS[0], *told) for told in ((GOOD, "stop"), (LOOP, "length"))]
    for at, line in enumerate(lines[:count]):
        image = line["request"]["messages"][0]["content"][1]
        image["image_url"]["url"] = f"https://example.org/{at}.png"
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_images_by_url_are_counted_and_said(tmp_path: Path) -> None:
    logs = by_url(tmp_path / "logs")
    told = api.scan([logs], config())
    assert told.summary["images"] == {"inline": 0, "broken": 0, "url": 2, "unseen_steps": 2}
    store.check_row(dict(told.summary), "summary")
    line = "images:    2 by URL, never fetched: no model sees the prompts of 2 steps"
    assert line in scan_summary(told.summary)
    mixed = api.scan([by_url(tmp_path / "mixed", 1)], config()).summary
    assert mixed["images"] == {"inline": 1, "broken": 0, "url": 1, "unseen_steps": 1}


def test_a_scan_without_images_by_url_says_nothing_of_them(tmp_path: Path) -> None:
    summary = api.scan([write_logs(tmp_path / "logs")], config()).summary
    assert set(summary["images"]) == {"inline", "broken"}
    assert "images:" not in scan_summary(summary)


def test_a_run_says_which_prompts_no_model_can_see(tmp_path: Path) -> None:
    said: list[str] = []
    job = Job(folder=store.RunFolder(tmp_path / "run"), config=config(), say=said.append)
    scan_stage(job, [by_url(tmp_path / "logs")])
    told = (
        "2 of 2 prompts cannot be seen by a model: their 2 images stand in the log as addresses, "
        "which are never fetched; they give no pair and no row for SFT. Log the bytes of images "
        "(data URLs) instead"
    )
    assert said[-1] == told
    (tmp_path / "run" / "config.yaml").write_text(dump_config(job.config))
    assert told in view(tmp_path / "run").notes
    assert _head(scan([tmp_path / "logs"], config()), tmp_path)[2] == f"  images     {told}"
