"""`run --dry-run`: what a run would do, in words, with two pairs as the trainer would see them.

In: paths, a folder (nothing is written to it), settings. Out: a text. The pairs shown come from
the logs; where the run would resample, its own pairs exist only once the model has answered.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from misstep import mine, models, store, train, validate
from misstep.config import RunConfig
from misstep.evaluate import held_out
from misstep.pipeline import advising, checks, mining, parts
from misstep.pipeline.job import Job, Progress, check_folder, silent
from misstep.pipeline.kept import why_nothing
from misstep.pipeline.rounds import little, several
from misstep.pipeline.scan import Scanned, scan
from misstep.pipeline.tally import unseen_said
from misstep.redact import clean
from misstep.report.words import count_of
from misstep.types import Pair

_SHOWN = 2
_TAIL = 600  # characters of the prompt that are shown


def plan(
    paths: Sequence[Path], folder: Path, config: RunConfig, *, progress: Progress = silent
) -> str:
    """The plan, the counts and two decoded pairs. Trains nothing and writes nothing.

    Raises:
        SetupError: logs, settings or model cannot be used.
    """
    checks.check_run(config)
    check_folder(folder, paths)
    mining.check_references(Job(store.RunFolder(folder), config))
    with tempfile.TemporaryDirectory() as images:
        reading = replace(config, ingest=replace(config.ingest, images=images))
        scanned = scan(paths, reading, progress=progress)
        return _plan(scanned, folder, config, images=Path(images))


def _plan(scanned: Scanned, folder: Path, config: RunConfig, *, images: Path) -> str:
    corpus = replace(mining.corpus(scanned), images=images)
    head = _head(scanned, folder)
    why = why_nothing(corpus, config)
    if why is not None:
        return "\n".join((*head, f"Nothing to train: {why}"))
    checks.check_sight(config, corpus)
    seen = models.Gallery(folder=images, max_pixels=config.images.max_pixels)
    template = models.load_tokenizer(config.model, images=seen)[1]
    job = Job(store.RunFolder(folder), config)
    split = mining.families(job, corpus)
    policy = mining.policy(job, corpus)
    lacking = checks.left_out(config)
    held_to = config if lacking is None else checks.held_to(config)
    logged = tuple(s for s in config.mine.sources if s != "resample")
    mined = mine.mine(
        corpus,
        split=split,
        config=replace(held_to.mine, sources=logged),
        settings=validate.settings(config.validate),
        template=template,
    )
    from_logs = not (policy.resample or config.kto.enabled)
    if from_logs and not mined.pairs:
        return "\n".join((*head, f"Nothing to train: {advising.of_failures(mined.counts)}"))
    notes = [lacking, None if held_to == config else checks.told_held(held_to)]
    notes.append(little(job, len(mined.pairs)) if from_logs else None)
    held = held_out(corpus, split, config.eval)
    terms = mining.sft_terms(config)
    accepted = mine.taught(corpus, split, config.sft.max_rows, config.seed, terms).prompts
    prompts = mine.resample_prompts(corpus, split, config.resample.max_prompts, config.seed)
    families = ", ".join(f"{part} {n}" for part, n in split.counts().items())
    lines = [
        *head,
        f"  families   {families}",
        f"  policy     {policy.why}",
        f"  sft        {_sft(config, len(accepted))}",
        f"  resample   {_resample(config, policy, len(prompts))}",
        *([f"  rft        {_rft(config)}"] if config.rft.enabled and lacking is None else []),
        f"  {_preference(config)}",
        *([f"  rounds     {config.rounds}"] if policy.resample and several(config) else []),
        f"  evaluate   {len(held)} held-out prompts, greedy and {config.eval.num_generations} "
        f"samples each at temperature {config.sample.temperature:g}",
        *(f"  note       {note}" for note in notes if note is not None),
        *train.memory_lines(config),
    ]
    if mined.pairs:
        lines.append(
            f"Logged pairs: {len(mined.pairs)}. {min(_SHOWN, len(mined.pairs))} of them as token "
            f"text; what is trained on stands between « and »:"
        )
    for pair in mined.pairs[:_SHOWN]:
        lines.extend(_decoded(pair, corpus, template))
    return "\n".join(lines)


def _head(scanned: Scanned, folder: Path) -> list[str]:
    counts = scanned.summary
    unseen = unseen_said(counts)
    aside = ", ".join(f"{reason} {count}" for reason, count in counts["set_aside"].items())
    told = f"{aside} (misstep scan --set-aside FILE writes each)"
    return [
        f"Plan for {folder} (nothing is written by --dry-run)",
        f"  scan       {count_of(counts['files'], 'file')}, "
        f"{count_of(counts['sessions'], 'session')}, {count_of(counts['steps'], 'step')}, "
        f"{counts['failed_steps']} failed",
        *([f"  set aside  {told}"] if aside else []),
        *([f"  images     {unseen}"] if unseen else []),
    ]


def training_plan(folder: Path, config: RunConfig) -> str:
    """What `misstep train` would train on, and what it would take. Writes nothing.

    Raises:
        InputError: the folder holds no pairs, or those of another adapter than SFT's.
        SetupError: settings or model cannot be used.
    """
    parts.check_pairs(folder)
    checks.check_bits(config)
    job = Job(store.RunFolder(folder), config)
    accepted = mining.accepted_rows(job)
    rows = mining.labelled_rows(job) if config.kto.enabled else mining.pair_rows(job)
    head = f"Plan for {folder} (nothing is written by --dry-run)"
    if not rows:
        return f"{head}\nNothing to train: the folder holds no pairs"
    template = models.load_tokenizer(config.model, images=job.gallery)[1]
    preference = f"{_preference(config)}; {count_of(len(rows), 'row')} in the folder"
    lines = [head]
    for name, said, given in (
        ("sft", f"sft        {_sft(config, len(accepted))}", accepted),
        ("kto" if config.kto.enabled else "dpo", preference, rows),
    ):
        used, told = _used(name, given, template, config)
        lines += [f"  {said}", *([f"             {told}"] if told else [])]
        if not used and given is rows:
            return "\n".join((*lines, f"Nothing to train: no row of {name} can be used"))
    note = little(job, len(rows))
    lines += [
        *([] if note is None else [f"  note       {note}"]),
        *([f"  note       {checks.NO_RFT}"] if config.rft.enabled else []),
        *train.memory_lines(config),
    ]
    return "\n".join(lines)


def _used(
    name: str, rows: Sequence[train.Row], template: models.Template, config: RunConfig
) -> tuple[bool, str]:
    """Whether a stage can use any of its rows, and how many it can where that is not all."""
    stage = getattr(config, name)
    if not stage.enabled or not rows:
        return True, ""
    run = train.TrainSettings(seed=config.seed, budget=models.budget_of(config))
    used, aside = train.usable(rows, template, config=stage, run=run)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(aside.items()))
    longest = f"; {name}.max_length is {stage.max_length}" if "too-long" in aside else ""
    return used > 0, f"{used} can be used, set aside: {reasons}{longest}" if aside else ""


def _sft(config: RunConfig, rows: int) -> str:
    if not config.sft.enabled:
        return "off"
    most = config.sft.max_rows
    some = f"{most} of {rows}" if 0 < most < rows else f"{rows}"
    return f"{some} accepted steps, learning_rate {config.sft.learning_rate:g}"


def _rft(config: RunConfig) -> str:
    rft = config.rft
    return (
        f"{_most(rft.max_rows)} chosen sides of a round of its own, {rft.min_votes} votes each, "
        f"learning_rate {rft.learning_rate:g}"
    )


def _preference(config: RunConfig) -> str:
    kto, dpo = config.kto, config.dpo
    if kto.enabled:
        return (
            f"kto        {_most(kto.max_rows)} labelled answers, loss {kto.loss_type}, beta "
            f"{kto.beta:g}, learning_rate {kto.learning_rate:g}"
        )
    if not dpo.enabled:
        return "dpo        off"
    return (
        f"dpo        {_most(dpo.max_pairs)} pairs, loss {'+'.join(dpo.loss_type)}, beta "
        f"{dpo.beta:g}, learning_rate {dpo.learning_rate:g}"
    )


def _most(limit: int) -> str:
    return f"at most {limit}" if limit > 0 else "all"


def _resample(config: RunConfig, policy: mining.Policy, prompts: int) -> str:
    if not policy.resample:
        return "not needed"
    count, heat = config.resample.num_generations, config.resample.temperature
    greedy = " and a greedy one" if config.resample.greedy else ""
    return f"{prompts} prompts, {count} answers each at temperature {heat:g}{greedy}"


def _decoded(pair: Pair, corpus: mine.Corpus, template: models.Template) -> Iterator[str]:
    prompt = template.prompt_text(corpus.messages(pair.prompt), corpus.context(pair.prompt))
    chosen = template.answer_text(pair.chosen)
    rejected = template.answer_text(pair.rejected, not pair.cut)
    yield f"--- pair {pair.id} ({pair.source}; rejected by {', '.join(pair.codes)})"
    yield f"prompt     …{_shown(prompt)[-_TAIL:]}"
    yield f"chosen     «{_shown(chosen)}»"
    yield f"rejected   «{_shown(rejected)}»"


def _shown(text: str) -> str:
    """Log text for a terminal: no secrets or people, no control characters but line breaks."""
    return "".join(c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in clean(text))
