"""Mining inside a run: the policy, resampling, the pair files, and rows for the trainer.

In: a corpus, its split, perhaps an adapter. Out: `pairs/`, `unpaired/`, `refused.jsonl`, the
dataset card, `sft_rows/train.parquet`. Training reads these files, so what was exported (redacted)
is what is trained on, whether `run` or `train` asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from misstep import mine, models, store, train, validate
from misstep.config import RunConfig
from misstep.pipeline.answers import Ask, all_answers, ask
from misstep.pipeline.job import RFT, ROUNDS, Job, stage
from misstep.pipeline.scan import Scanned
from misstep.pipeline.spread import Spread
from misstep.pipeline.spreading import spread_over
from misstep.pipeline.training import Adapter
from misstep.types import Finding, Message, Prompt

PAIRS = "pairs/train.parquet"
UNPAIRED = "unpaired/train.parquet"
ACCEPTED = "sft_rows/train.parquet"
AS_SET = "as configured"
"""The policy of `misstep mine`; that of a run says more."""
_LOGGED = ("retry", "sibling", "reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which chosen-sources a run uses, and why."""

    sources: tuple[str, ...]
    resample: bool
    share: float | None
    """Share of the logged steps that the model under training wrote, in [0, 1]; None where none
    is trained."""
    why: str
    template: bool = True
    """Whether the answers are those of `model`, so that pairs are held against its template."""


def corpus(scanned: Scanned) -> mine.Corpus:
    """The sessions of a scan that is held in memory, as the miner sees them."""
    findings: dict[tuple[str, int], list[Finding]] = {}
    for finding in scanned.findings:
        findings.setdefault((finding.session, finding.step), []).append(finding)
    return mine.Corpus(
        sessions={session.id: session for session in scanned.sessions},
        verdicts={(v.session, v.step): v for v in scanned.verdicts},
        findings={key: tuple(found) for key, found in findings.items()},
    )


def policy(job: Job, known: mine.Corpus) -> Policy:
    """Whether logged pairs are the model's own, or its own answers have to be sampled first.

    Pairs teach most when both sides come from the model that is trained. Where it wrote less than
    `mine.on_policy_share` of the logged steps, logged pairs would teach it another model's
    mistakes, so they are left out unless `mine.off_policy` says otherwise.
    """
    config = job.config.mine
    share = mine.index_of(known).share([job.config.model])
    resample = "resample" in config.sources
    if config.off_policy or share >= config.on_policy_share or not resample:
        sources = tuple(s for s in config.sources if s != "resample")
        return Policy(sources=sources, resample=False, share=share, why="logged pairs are trained")
    sources = ("resample",)
    if config.on_policy_share > 1:
        why = "pairs are made of the model's own answers, whoever wrote the log"
        return Policy(sources=sources, resample=True, share=share, why=why)
    why = (
        f"{job.config.model} wrote {share:.0%} of the logged steps (below "
        f"{config.on_policy_share:.0%}), so its own answers are sampled and paired; "
        f"--off-policy trains on the logged pairs instead"
    )
    job.say(why)
    return Policy(sources=sources, resample=True, share=share, why=why)


def families(job: Job, known: mine.Corpus) -> mine.Split:
    """Which family each session is of, and which part each family is in."""
    heads = mine.index_of(known).heads()
    return mine.split(known.sessions, job.config.mine, job.config.mine.split_seed, heads)


def all_sources(job: Job, *, resample: bool) -> Policy:
    """The policy of `misstep mine`: every configured source; resampling if a model is given."""
    sources = tuple(s for s in job.config.mine.sources if resample or s != "resample")
    served = job.config.endpoint.url is not None
    return Policy(sources=sources, resample=resample, share=None, why=AS_SET, template=not served)


def resample(
    job: Job, known: mine.Corpus, split: mine.Split, start: Adapter | None
) -> dict[Prompt, Sequence[Message]]:
    """Answers of the model under training to the logged prompts of the train families."""
    config = job.config.resample
    prompts = mine.resample_prompts(known, split, config.max_prompts, job.config.seed)
    given = ask(
        job,
        known.sessions,
        Ask(
            stage="resample",
            model=job.config.model,
            adapter=start.path if start else None,
            adapter_key=start.key if start else "",
            prompts=prompts,
            greedy=config.greedy,
            num_generations=config.num_generations,
            sample=replace(
                job.config.sample,
                temperature=config.temperature,
                stop_loops=config.stop_loops,
            ),
            seed=job.draw,
        ),
    )
    return all_answers(given)


def mine_stage(
    job: Job,
    known: mine.Corpus,
    split: mine.Split,
    *,
    policy: Policy,
    answers: Mapping[Prompt, Sequence[Message]] | None,
) -> dict[str, Any]:
    """Pair, gate, and write the pair files; gives the counts that `mine --json` prints.

    Raises:
        InputError: a reviewer's decision in the folder cannot be read.
    """
    path = job.run / mine.DECISIONS
    decided = mine.count_decisions(path)
    known = replace(known, decisions=mine.read_decisions(path))
    config = replace(job.config.mine, sources=policy.sources)
    key = store.key_of(
        "mine",
        job.run.noted("scan").get("key"),
        [config, job.config.validate, job.config.seed, job.config.model if answers else ""],
        models.budget_of(job.config) if answers else None,
        [
            [p.session, p.step, [store.encode(m).decode() for m in given]]
            for p, given in (answers or {}).items()
        ],
        _digest(config.references),
        [store.key_of(decision) for decision in known.decisions.values()],
    )

    def work() -> Mapping[str, Any]:
        known_model = answers is not None and policy.template
        images = job.gallery
        template = (
            models.load_tokenizer(job.config.model, images=images)[1] if known_model else None
        )
        desk = mine.Desk(
            corpus=known,
            split=split,
            config=config,
            settings=validate.settings(job.config.validate),
            references=mine.read_references(Path(config.references)) if config.references else (),
            answers=answers or {},
            template=template,
            budget=models.budget_of(job.config) if template is not None else None,
        )
        with mine.watched(job.counting("mining")), spread_over(job, desk) as spread:
            found, wanted, making = _mined(job, desk, spread)
        steps = len(mine.index_of(known))
        folder = job.folder.path
        files = mine.write(found, wanted, making, folder=folder, config=config, steps=steps)
        said = {"share": policy.share, "policy": policy.why, "decisions": decided}
        return {**found.counts, "files": files, **said}

    return stage(job, "mine", key=key, outputs=[PAIRS, "refused.jsonl", "README.md"], work=work)


def _mined(
    job: Job, desk: mine.Desk, spread: Spread | None
) -> tuple[mine.Mined, list[mine.Wanted], mine.Making]:
    """What is mined, the rows to be written of it, and who makes them or has made them."""
    want = partial(
        mine.wanted_of,
        corpus=desk.corpus,
        split=desk.split,
        seed=job.config.seed,
        terms=mine.Terms.of(desk.config, mine.by_key(desk.references)),
    )
    if spread is not None:
        return spread.mined(desk, want)
    found = mine.paired(desk)
    return found, want(found), mine.Maker(desk.corpus, desk.split, desk.config.redact)


def check_references(job: Job) -> None:
    """Read the references once before anything long begins.

    Raises:
        InputError: the file holds no references.
    """
    if job.config.mine.references:
        mine.read_references(Path(job.config.mine.references))


def _digest(path: str | None) -> str:
    return store.file_digest(Path(path)) if path and Path(path).is_file() else ""


def pair_rows(job: Job) -> list[train.Row]:
    """The pairs of the train part as the trainer takes them, as a reviewer left them.

    Raises:
        InputError: the folder holds no pairs, or a decision cannot be read.
    """
    known = int(job.folder.noted("mine").get("decisions", 0))
    decisions = mine.read_decisions(job.run / mine.DECISIONS, known)
    rows = map(mine.row_to_sides, store.read_rows(job.folder / PAIRS))
    return [_row(sides) for row in rows if (sides := mine.decided(row, decisions)) is not None]


def labelled_rows(job: Job) -> list[train.Row]:
    """Every answer of the train part with its label: both sides of the pairs, and the unpaired.

    Raises:
        InputError: the folder holds no pairs, or a decision cannot be read.
    """
    pairs = pair_rows(job)
    rows = [
        replace(row, id=f"{row.id}-{label}", chosen=side, rejected=None, label=label == "accepted")
        for row in pairs
        for side, label in ((row.chosen, "accepted"), (row.rejected, "failed"))
        if side is not None
    ]
    if (job.folder / UNPAIRED).exists():
        for read in store.read_rows(job.folder / UNPAIRED):
            row = _row(mine.labelled_to_sides(read))
            rows.append(replace(row, label=bool(read["label"])))
    return rows


def _row(sides: mine.Sides) -> train.Row:
    return train.Row(
        id=sides.id,
        prompt=sides.prompt,
        context=sides.context,
        chosen=sides.chosen,
        rejected=sides.rejected,
        cut=sides.cut,
        family=sides.family,
        codes=sides.codes,
        marks=sides.marks,
        unplaced=sides.unplaced,
    )


def sft_rows(job: Job, known: mine.Corpus, split: mine.Split) -> list[train.Row]:
    """Accepted steps of the train families, written to `sft_rows/` and read back."""
    config = job.config
    key = store.key_of(
        "sft rows",
        job.folder.noted("scan").get("key"),
        [config.mine, config.sft.max_rows, config.seed],
        *([_digest(config.mine.references)] if config.mine.references else []),
    )

    def work() -> Mapping[str, Any]:
        terms = sft_terms(config)
        found = mine.taught(known, split, config.sft.max_rows, config.seed, terms)
        clean = mine.Redactor(active=config.mine.redact)
        rows = [
            mine.accepted_row(prompt, known, split, clean, gold=found.golds.get(prompt))
            for prompt in found.prompts
        ]
        store.write_rows(job.folder / ACCEPTED, rows, columns=("id", "prompt", "completion"))
        if found.golds:
            job.say(f"SFT: {len(found.golds)} of {len(rows)} rows are references")
        for reason, count in sorted(found.left_out.items()):
            job.say(f"SFT: {count} steps left out: {reason}")
        return {"rows": len(rows), "references": len(found.golds), "left_out": found.left_out}

    stage(job, "sft rows", key=key, outputs=[ACCEPTED], work=work)
    return accepted_rows(job)


def sft_terms(config: RunConfig) -> mine.Terms:
    """What a step must meet to be a row for SFT.

    Raises:
        InputError: the file of references cannot be used.
    """
    path = config.mine.references
    known = mine.by_key(mine.read_references(Path(path)) if path else ())
    return mine.Terms.of(config.mine, known, validate.settings(config.validate))


def accepted_rows(job: Job) -> list[train.Row]:
    """The accepted steps that `sft_rows` wrote; none where it never did."""
    path = job.folder / ACCEPTED
    if not path.exists():
        return []
    return [_row(mine.accepted_to_sides(row)) for row in store.read_rows(path)]


def trained_hashes(job: Job, known: mine.Corpus) -> list[str]:
    """Content hashes of the prompts of all rows that a stage may have trained on.

    Of a round, with those of the rounds before it, `rft` among them.
    """
    index = mine.index_of(known)
    names = (PAIRS, *((UNPAIRED,) if job.config.kto.enabled else ()))
    before = [job.run / f"{ROUNDS}/{number}" for number in range(1, job.round)]
    if job.config.rft.enabled:
        before.append(job.run / RFT)
    tables = [job.run / ACCEPTED]
    tables += [folder / name for folder in (job.folder.path, *before) for name in names]
    places = {
        (session, int(step))
        for path in tables
        if path.exists()
        for session, step in store.read_stream(path, ("session", "step"))
    }
    here = set(index.names)  # pairs of other logs may lie in the folder from before
    return sorted({index.bare(index.row(name, step)) for name, step in places if name in here})
