"""Documents of several pages: all held-out ones are asked, and documents are what is drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL", reason="pages need Pillow")

import ocr_pages as pages
from misstep import evaluate, mine, store, validate
from misstep.config import RunConfig, load_config
from misstep.evaluate import ArmAnswers, quality
from misstep.pipeline.golds import golds_of
from misstep.pipeline.job import Job
from misstep.pipeline.kept import scan_stage
from misstep.pipeline.measuring import held_prompts
from misstep.recipes import settings
from misstep.types import Message, Part

DOCUMENTS, LEAVES = 6, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of documents with several pages each."""
    made = tmp_path_factory.mktemp("pages")
    rows = []
    for document in range(DOCUMENTS):
        for leaf in range(LEAVES):
            gold = {"text": f"Livro {document}, folha {leaf}: conta da casa e do campo."}
            name = f"{document}-{leaf}.png"
            (made / name).write_bytes(pages.image_bytes(gold))
            row = {"file_name": name, "document_id": f"livro-{document}"}
            rows.append({**row, "assistant": pages.gold_text(gold)})
    (made / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def recipe(**more: Any) -> RunConfig:
    given = {"ingest.workers": 1, "mine.heldout": 0.4, "eval.resamples": 200, **more}
    return load_config(None, given, settings("ocr", model="smollm2", preset="cpu"))


def held_of(folder: Path, run: Path, config: RunConfig) -> tuple[mine.Corpus, Any]:
    job = Job(folder=store.RunFolder(run), config=config)
    corpus = scan_stage(job, [folder])
    split = mine.split(corpus.sessions, config.mine, config.mine.split_seed)
    return corpus, held_prompts(job, corpus, split)


def test_all_held_out_pages_of_a_document_are_asked(folder: Path, tmp_path: Path) -> None:
    config = recipe()
    assert config.eval.prompts_per_family == config.eval.max_prompts == 500
    _, held = held_of(folder, tmp_path / "run", config)
    families = {each.family for each in held}
    assert len(families) >= 2
    assert len(held) == len(families) * LEAVES


def test_the_figures_count_pages_and_draw_documents(folder: Path, tmp_path: Path) -> None:
    config = recipe()
    corpus, held = held_of(folder, tmp_path / "run", config)
    first = min(each.family for each in held)
    loop = '{"text": "' + "Aos três dias do mês de março, " * 30

    def answers(looping: str | None) -> dict[Any, ArmAnswers]:
        given = {}
        for each in held:
            gold = corpus.answer(each.prompt).text
            text, end = (loop, "length") if each.family == looping else (gold, "stop")
            part = Part(kind="text", text=text)
            message = Message(role="assistant", parts=(part,), finish_reason=end)
            given[each.prompt] = ArmAnswers(greedy=message)
        return given

    found = quality(
        corpus,
        held,
        {"sft": answers(first), "dpo": answers(None)},
        golds=golds_of(corpus, held, config),
        settings=validate.settings(config.validate),
        config=config.eval,
        seed=1,
    )
    (before,) = [
        f for f in found.degeneration if (f.metric, f.model) == ("degenerate_published", "sft")
    ]
    assert (before.k, before.n) == (LEAVES, len(held))
    (move,) = [c for c in found.changes if c.metric == "degenerate_published"]
    assert (move.better, move.worse, move.p) == (1, 0, 1.0)  # one document says little
    assert found.prompts == len(held)


def test_where_each_page_is_its_own_document_nothing_changes(folder: Path, tmp_path: Path) -> None:
    """One prompt a family, and any number of them, are the same prompts."""
    alone = tmp_path / "alone"
    alone.mkdir()
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for row in rows:
        (alone / row["file_name"]).write_bytes((folder / row["file_name"]).read_bytes())
        del row["document_id"]
    (alone / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = recipe(**{"eval.max_prompts": 12})
    corpus, held = held_of(alone, tmp_path / "run", config)
    assert len(held) == 12
    one = replace(config.eval, prompts_per_family=1)
    split = mine.split(corpus.sessions, config.mine, config.mine.split_seed)
    assert evaluate.held_out(corpus, split, one) == held
