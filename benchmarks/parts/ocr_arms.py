"""The arms of the OCR laboratory: one run of misstep a family and seed, and two controls more.

In: a trained family, a `Plan` (pages, token cap, settings of the stages), a seed. Out: greedy
transcriptions of the held-out pages by every arm: `base`, `sft`, `dpo` and `control` (SFT continued
for as many steps on the same chosen pages) come from `misstep run --recipe ocr`; `random` is DPO on
the same chosen pages against clean samples drawn at random, `penalty` the SFT model decoded with a
repetition penalty. Whatever the run folder holds is not made again.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parts.lab_keep import home, key_of, say
from parts.ocr_layout import FULL, Setting
from parts.ocr_pages import pages, write_benchmark
from parts.ocr_vanilla import Course, asked, train_family

from misstep import api, models, recipes, store, train, validate
from misstep.config import RunConfig, load_config
from misstep.evaluate import ArmAnswers
from misstep.mine.source import canonical
from misstep.pipeline import mining, training
from misstep.pipeline.answers import COLUMNS, Ask, ask
from misstep.pipeline.job import Job, begin, silent
from misstep.pipeline.kept import corpus_of, scan_stage
from misstep.pipeline.measuring import held_prompts
from misstep.types import Message, Prompt, Session, Usage
from misstep.validate import published_loop

FROM_RUN = ("base", "sft", "dpo", "control")
ARMS = (*FROM_RUN, "random", "penalty")
PENALTY = 1.2
"""Of the tokens that stand in the answer already; the value that papers and servers mostly use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is frozen before held-out pages are opened; chosen on pages of the part `dev`."""

    train: int = 420
    """Pages to train on, about: misstep draws the held-out share page by page."""
    heldout: int = 360
    setting: Setting = FULL
    course: Course = field(default_factory=Course)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Over the recipe's, nested."""


PLANS = {"idefics3": Plan(heldout=720)}
"""Of families that want another plan: this one loops on fewer pages, 9 of 100 on dev."""
SCHEMA = str(Path(__file__).resolve().parents[2] / "schemas" / "ocr-page.json")
CAP = 320
"""Tokens of an answer; the longest gold of 2,000 dev pages has 240."""
SETTINGS: dict[str, Any] = {
    "dtype": "float32",
    # the template of these models has no place for an instruction
    "ingest": {"workers": 1, "pages": {"instruction": ""}},
    "validate": {"schema": SCHEMA, "limits": {"loop_length": 60}},
    "sample": {"max_new_tokens": CAP, "batch_size": 64},
    # of such readers few answers are nearer to the gold; with 0.7 nearly every chosen side is gold
    "mine": {"min_agreement": 0.4, "rejected": ["loops"]},
    "resample": {"num_generations": 4, "max_prompts": 400},
    # fifteen steps, that end early: with twice the rate half of the loops are gone before DPO
    "sft": {"learning_rate": 5e-4, "per_device_train_batch_size": 8, "max_rows": 120},
    # some 150 pairs, so that one epoch is 18 steps
    "dpo": {
        "learning_rate": 1e-4,
        "num_train_epochs": 3.0,
        "per_device_train_batch_size": 8,
        "max_pairs": 400,
    },
    "eval": {"num_generations": 1, "max_prompts": 800, "control": True},
}


@dataclass(slots=True)
class Lab:
    """One family under one seed: its model, its pages, its run folder."""

    family: str
    plan: Plan
    seed: int
    part: str

    @property
    def folder(self) -> Path:
        """Where all of it lies."""
        settings = over(SETTINGS, {"validate": {"schema": "ours"}})  # wherever the checkout lies
        name = key_of(self.family, dataclasses.asdict(self.plan), settings, self.part)
        return home() / "ocr" / f"{self.family}-{name}"

    @property
    def model(self) -> Path:
        """The family's model after its first training, made now if it is not there."""
        course = self.plan.course
        name = key_of(self.family, dataclasses.asdict(course))
        return train_family(self.family, home() / "ocr" / f"vanilla-{self.family}-{name}", course)

    @property
    def pages(self) -> Path:
        """A folder in the shape of DharmaOCR-Benchmark, from the part's own stream of pages.

        misstep itself splits it: `dev` and `heldout` share no page, not even in training.
        """
        folder = self.folder / "pages"
        if not any(folder.glob("*.parquet")):
            plan = self.plan
            made = pages(self.part, plan.train + plan.heldout, plan.setting)
            fresh = folder.with_name("pages.new")
            write_benchmark(fresh, list(made))
            fresh.rename(folder)
        return folder

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / f"run-{self.seed}"

    @property
    def config(self) -> RunConfig:
        """The recipe's settings, the plan's over them."""
        total = self.plan.train + self.plan.heldout
        split = {"heldout": self.plan.heldout / total, "dev": 0.0}
        own = {"seed": self.seed, "model": str(self.model), "mine": split}
        ground = recipes.settings("ocr", model=str(self.model), preset="cpu")
        for settings in (SETTINGS, self.plan.settings, own):
            ground = over(ground, settings)
        return load_config(None, {}, ground)

    @property
    def job(self) -> Job:
        """The run folder with its settings, for the arms that misstep has no flag for."""
        return Job(store.RunFolder(self.run), self.config, say=say)


def over(ground: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with others over them."""
    merged = dict(ground)
    for key, value in settings.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = over(below, value) if both else value
    return merged


Answered = Mapping[Prompt, ArmAnswers]


def answered(lab: Lab, arm: str) -> tuple[Answered, float]:
    """What an arm writes on the held-out pages, greedily, and the seconds that it wrote.

    Nothing where the arm could not be made, for want of pairs.
    """
    _run(lab)
    if arm == "random":
        _randomly(lab)
        return _written(lab.run / "random/answers/control.parquet")
    if arm == "penalty":
        _penalised(lab)
    return _written(lab.run / f"answers/{arm}.parquet")


def sft_loops(lab: Lab, count: int) -> tuple[int, int]:
    """(pages that degenerate after SFT by the published rule, pages): what difficulty is set by.

    The scan and the SFT stage are those of the whole run, which takes them from here.
    """
    pages = lab.pages
    job = begin(lab.run, lab.config, silent, say)
    corpus = scan_stage(job, [pages])
    split = mining.families(job, corpus)
    held_prompts(job, corpus, split)
    sft = training.sft_stage(job, mining.sft_rows(job, corpus, split))
    apart = dataclasses.replace(job, folder=store.RunFolder(lab.run / "probe"), home=job.folder)
    found = ask(apart, corpus.sessions, _greedy(lab, "sft", sft.path, _held(lab)[:count]))
    flags = [published_loop(a.greedy.text, a.greedy.finish_reason) for a in found.values()]
    return sum(flags), len(flags)


def _greedy(lab: Lab, stage: str, adapter: Path, prompts: Sequence[Prompt]) -> Ask:
    return Ask(
        stage=stage,
        model=lab.config.model,
        adapter=adapter,
        adapter_key=store.weights_digest(adapter),
        prompts=tuple(prompts),
        greedy=True,
        num_generations=0,
        sample=lab.config.sample,
        seed=lab.seed,
    )


def _run(lab: Lab) -> None:
    if not (lab.run / "scores.json").exists():
        verdict = api.run([lab.pages], lab.run, lab.config, say=say)
        say(f"{lab.family} seed {lab.seed}: {verdict}")


def _written(path: Path) -> tuple[Answered, float]:
    """The greedy answers of a file, and their seconds by the clock on the wall."""
    kept = store.read_rows(path) if path.exists() else []
    rows = [row for row in kept if row["kind"] == "greedy"]
    found = {
        Prompt(session=row["session"], step=int(row["step"])): ArmAnswers(
            greedy=store.decode(row["answer"], Message), sampled=()
        )
        for row in rows
    }
    return found, sum(row["seconds"] or 0.0 for row in rows)


# --- controls ----------------------------------------------------------------------------------


def _randomly(lab: Lab) -> None:
    """DPO with clean samples drawn at random as rejected sides: chosen sides, steps as in `dpo`.

    In a run folder of its own, under the name of the control there.
    """
    job, place = lab.job, store.RunFolder(lab.run / "random")
    out = place / "adapter"
    if not (out / "adapter_config.json").exists():
        rows = random_rejects(lab, mining.pair_rows(job))
        say(f"random rejects: {len(rows)} pairs")
        if not rows:
            return
        entry = job.folder.entry("train adapter")
        steps = int(entry["facts"]["steps"]) if entry else -1
        train.train_dpo(
            rows,
            base=job.config.model,
            adapter=lab.run / "sft",
            out=out,
            config=dataclasses.replace(job.config.dpo, max_steps=steps),
            lora=job.config.lora,
            run=train.TrainSettings(
                seed=lab.seed, dtype=job.config.dtype, images=lab.run / "images", say=say
            ),
        )
    what = _greedy(lab, "control", out, _held(lab))
    sessions = corpus_of(store.RunFolder(lab.run)).sessions
    ask(dataclasses.replace(job, folder=place, home=job.folder), sessions, what)


def random_rejects(lab: Lab, rows: Sequence[train.Row]) -> list[train.Row]:
    """The rows with another clean sample of the same page, drawn at random, as rejected side.

    A page with one clean sample gives no row.
    """
    draw = random.Random(lab.seed)
    settings = validate.settings(lab.config.validate)
    corpus = corpus_of(store.RunFolder(lab.run))
    samples: dict[str, list[Message]] = {}
    for row in store.read_rows(lab.run / "answers/resample.parquet"):
        session = corpus.sessions[row["session"]]
        answer = store.decode(row["answer"], Message)
        if clean(session, answer, settings):
            samples.setdefault(_shown(session.messages), []).append(answer)
    out = []
    for row in rows:
        others = [
            each
            for each in samples.get(_shown(row.prompt), ())
            if canonical(each) != canonical(row.chosen)
        ]
        if others:
            rejected = dataclasses.replace(draw.choice(others))
            out.append(dataclasses.replace(row, rejected=rejected, cut=False, marks=(), codes=()))
    return out


def _shown(messages: Sequence[Message]) -> tuple[str, ...]:
    """The images that are asked about: a page is asked about once."""
    parts = (part for message in messages for part in message.parts)
    return tuple(part.text for part in parts if part.kind == "image")


def clean(session: Session, answer: Message, settings: Any) -> bool:
    """Whether an answer to a page has no defect."""
    _, verdict = validate.judge(session, len(session.messages) - 1, answer, settings=settings)
    return verdict.state == "pass"


def _penalised(lab: Lab) -> None:
    """The SFT model with a repetition penalty while it decodes."""
    path = lab.run / "answers/penalty.parquet"
    if not path.exists():
        sessions = corpus_of(store.RunFolder(lab.run)).sessions
        loaded = models.load(
            lab.config.model, adapter=lab.run / "sft", dtype="float32", images=lab.run / "images"
        )
        prompts, rows = _held(lab), []
        size = lab.config.sample.batch_size
        for at in range(0, len(prompts), size):
            part, started = prompts[at : at + size], time.monotonic()
            found = _decoded(loaded, [sessions[p.session] for p in part], lab)
            each = (time.monotonic() - started) / len(part)
            rows += [
                {
                    "session": prompt.session,
                    "step": prompt.step,
                    "kind": "greedy",
                    "answer": store.encode(answer).decode(),
                    "seconds": each,
                }
                for prompt, answer in zip(part, found, strict=True)
            ]
            say(f"penalty: {len(rows)} of {len(prompts)} pages")
        store.write_rows(path, rows, columns=COLUMNS)


def _decoded(loaded: Any, sessions: Sequence[Session], lab: Lab) -> list[Message]:
    """Transformers' own decoding: misstep samples without a penalty."""
    import torch

    words = loaded.tokenizer
    pictures = [
        models.open_image(lab.run / "images", part.text)
        for session in sessions
        for message in session.messages
        for part in message.parts
        if part.kind == "image"
    ]
    inputs = asked(loaded.eye.processor, pictures)
    cap = lab.config.sample.max_new_tokens
    with torch.inference_mode():
        out = loaded.network.generate(
            **inputs,
            max_new_tokens=cap,
            do_sample=False,
            repetition_penalty=PENALTY,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    answers = []
    for session, ids in zip(sessions, out[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
        ended = words.eos_token_id in ids
        context = session.context_of(len(session.messages) - 1)
        message = loaded.template.parse(words.decode(ids, skip_special_tokens=True), context)
        reason = "stop" if ended else "length"
        count = ids.index(words.eos_token_id) + 1 if ended else len(ids)
        answers.append(
            dataclasses.replace(
                message,
                finish_reason=reason,
                model="penalty",
                usage=Usage(output_tokens=count),
            )
        )
    return answers


def _held(lab: Lab) -> tuple[Prompt, ...]:
    rows = store.read_rows(lab.run / "heldout.parquet")
    return tuple(Prompt(session=row["session"], step=int(row["step"])) for row in rows)
