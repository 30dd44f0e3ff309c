"""Arms: ways to make pairs and to train on them, run beside each other and recorded one by one.

Every arm continues the same SFT adapter on pairs that `misstep mine` made of that adapter's own
answers, for the same number of steps of the same number of pairs, and is judged on the same
questions. In: `Arm`s. Out: rows of a results file, each written the moment its arm ends; an arm
that the file holds is not run again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from parts import lab_measure, lab_model
from parts.lab_keep import facts, say
from parts.lab_measure import Measured
from parts.lab_model import Answered
from parts.lab_questions import Question, counts, place
from parts.lab_results import has, is_row, known, record, short
from parts.lab_signed import agreeing, signed

from misstep import store, train
from misstep.config import DpoConfig, KtoConfig, MineConfig, SftConfig
from misstep.mine.source import canonical, distance

ASKED = 192
"""Questions of the train part whose answers the pairs are made of."""
SAMPLES, TEMPERATURE = 8, 1.0
STEPS, PAIRS, PER_PROMPT, RATE = 40, 320, 2, 3e-4
GENTLE = 1e-4
"""Learning rate of DPO behind another stage: at `RATE` it undoes what it wins."""
DPO = DpoConfig(
    max_steps=STEPS,
    max_pairs=PAIRS,
    learning_rate=RATE,
    beta=0.5,
    preference_tokens="differing",
)
SFT = SftConfig(
    max_steps=STEPS,
    max_rows=PAIRS,
    learning_rate=RATE,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=2,
)
KTO = KtoConfig(max_steps=STEPS, max_rows=2 * PAIRS, learning_rate=RATE)
"""16 answers a step: as many as in 8 pairs."""
ANSWERS = {"dev": 4, "heldout": 3}
"""Answers to each question at each temperature."""
EVERY = 1_000_000
ANY_CLEAN = {"supported_values": False, "min_votes": 1}
"""One clean answer is enough, unless an arm asks for more."""
VOTED: dict[str, Any] = {"supported_values": True, "min_votes": 2}
"""What the defaults ask of a sampled chosen side."""

Negatives = Literal["random", "nearest", "frequent"]
Stage = Literal["dpo", "sft", "kto"]
Often = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to make and use pairs."""

    name: str
    sources: tuple[str, ...] = ("sibling",)
    """Of `misstep mine`; each is mined by itself. With `reference` the references stand by."""
    negatives: Negatives = "random"
    """Which failures of a prompt are the rejected sides, `PER_PROMPT` at most."""
    chosen: Literal["as mined", "consensus", "signed"] = "as mined"
    """`consensus`: of the clean answers to the prompt the one that agrees most with the others.
    `signed`: and adds nothing that the prompt does not support (`lab_signed`)."""
    stage: Stage = "dpo"
    """`sft`: on the chosen sides. `kto`: both sides as labelled answers."""
    after: Arm | None = None
    """The arm whose adapter this one continues, and answers with; without it, the first SFT's."""
    like: Arm | None = None
    """The arm whose pairs this one takes, those of all its rounds behind `after`."""
    asked: int = ASKED
    """Questions of the train part whose answers the pairs are made of."""
    rounds: int = 1
    """The steps are split over so many rounds; each has fresh answers and is its own reference."""
    mine: dict[str, Any] = field(default_factory=dict)
    """Of `misstep mine`, other than the defaults; the caps are lifted anyway."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the stage, other than those of `DPO`, `SFT` or `KTO`."""

    @property
    def depth(self) -> int:
        """Rounds from the first SFT to this arm's end."""
        return self.rounds + (self.after.depth if self.after else 0)


def after_sft(
    name: str,
    stage: Stage = "dpo",
    *,
    mine: dict[str, Any] | None = None,
    asked: int = ASKED,
    **settings: Any,
) -> Arm:
    """SFT on confirmed answers, then this stage on pairs of fresh ones: `STEPS` each.

    Args:
        mine: of the second stage; without it every failure with a clean sibling is paired.
        settings: of the second stage; DPO counts the failing tokens unless they say otherwise.
    """
    first = Arm(name="sft on confirmed answers", stage="sft", mine=VOTED, asked=asked)
    return behind(first, name, stage, mine=mine, **settings)


def behind(
    first: Arm,
    name: str,
    stage: Stage = "dpo",
    *,
    mine: dict[str, Any] | None = None,
    **settings: Any,
) -> Arm:
    """One stage more behind an arm, on pairs of fresh answers to the same questions."""
    focus = {"preference_tokens": "failing"} if stage == "dpo" else {}
    return Arm(
        name=name,
        stage=stage,
        after=first,
        mine=mine or {},
        asked=first.asked,
        settings={**focus, **settings},
    )


# --- pairs -------------------------------------------------------------------------------------


def pairs_of(arm: Arm, given: Sequence[Answered]) -> list[train.Row]:
    """The pairs of an arm: every failure with something better, then the choice of negatives."""
    rows: dict[str, train.Row] = {}
    for source in arm.sources:
        caps = {"max_pairs_per_prompt": EVERY, "max_pairs_per_family": EVERY}
        mine = MineConfig(**{"sources": (source,), **ANY_CLEAN, **caps, **arm.mine})
        for row in lab_model.pairs(given, mine=mine, gold=source == "reference"):
            rows.setdefault(row.id, row)
    mined = list(rows.values())
    if arm.chosen != "as mined":
        mined = (agreeing if arm.chosen == "consensus" else signed)(mined, given)
    return chosen_negatives(mined, arm.negatives, often=frequencies(given))


def frequencies(given: Sequence[Answered]) -> Often:
    """How often each answer was given, by the question's text and the answer's content."""
    return Counter(
        (question.messages[-1].text, canonical(answer))
        for question, some in given
        for answer in some
    )


def chosen_negatives(
    rows: Sequence[train.Row], negatives: Negatives, *, often: Often
) -> list[train.Row]:
    """At most `PER_PROMPT` pairs of each prompt."""

    def rank(row: train.Row) -> tuple[float, str]:
        if row.rejected is None or negatives == "random":
            return 0.0, place(row.id)
        if negatives == "nearest":
            return distance(row.chosen, row.rejected), place(row.id)
        return -often[row.prompt[-1].text, canonical(row.rejected)], place(row.id)

    prompts: dict[str, list[train.Row]] = defaultdict(list)
    for row in rows:
        prompts[repr((row.prompt, row.context.tools))].append(row)
    return [row for same in prompts.values() for row in sorted(same, key=rank)[:PER_PROMPT]]


def labelled(rows: Sequence[train.Row]) -> list[train.Row]:
    """Both sides of every pair as labelled answers; equal ones once."""
    out: dict[str, train.Row] = {}
    for row in rows:
        for label, side in ((True, row.chosen), (False, row.rejected)):
            if side is not None:
                name = f"{place(repr(row.prompt) + canonical(side))}-{label}"
                cut = row.cut and not label
                out[name] = replace(row, id=name, chosen=side, rejected=None, label=label, cut=cut)
    return list(out.values())


# --- arms --------------------------------------------------------------------------------------


def adapter_of(arm: Arm, rows: Sequence[train.Row], *, start: Path, seed: int) -> Path:
    """Train one round of an arm."""
    config: Any = {"dpo": DPO, "kto": KTO, "sft": SFT}[arm.stage]
    names = {each.name for each in fields(config)}
    config = replace(config, **{name: v for name, v in arm.settings.items() if name in names})
    config = replace(config, max_steps=config.max_steps // arm.rounds)
    if arm.stage == "sft":
        rows = [replace(row, rejected=None, cut=False) for row in rows]
    if arm.stage == "kto":
        rows = labelled(rows)
    return lab_model.trained(rows, start=start, config=config, seed=seed)


@dataclass(slots=True)
class Lab:
    """The questions of one part, and what all arms of one seed have in common."""

    asked: dict[str, list[Question]]
    part: str
    seed: int
    beside_start: bool = True
    """Whether arms are set beside the adapter that they start from, which asks it, too."""

    def start(self) -> Path:
        """The adapter that every arm continues."""
        return lab_model.first_sft(self.asked["train"], self.seed)

    def answers(self, adapter: Path, round: int = 0, asked: int = ASKED) -> list[Answered]:
        """What a model answers to the train part: the log."""
        return lab_model.answers(
            self.asked["train"][:asked],
            adapter,
            temperature=TEMPERATURE,
            count=SAMPLES,
            seed=self.seed + 1_000 * round,
        )

    def train(self, arm: Arm) -> tuple[list[train.Row], Path | None]:
        """The pairs of an arm's last round, and its adapter.

        A round without pairs leaves the adapter as it is; where none had any, there is none.
        """
        at = self.train(arm.after)[1] if arm.after else None
        rows: list[train.Row] = []
        for round in range(arm.depth - arm.rounds, arm.depth):
            start = at or self.start()
            if arm.like is not None:
                rows = self.pairs_behind(arm.after, arm.like)
            else:
                rows = pairs_of(arm, self.answers(start, round, arm.asked))
            if rows:
                at = adapter_of(arm, rows, start=start, seed=self.seed)
        return rows, at

    def pairs_behind(self, first: Arm | None, last: Arm) -> list[train.Row]:
        """The pairs of every arm that comes behind one and leads to another."""
        rows: list[train.Row] = []
        at: Arm | None = last
        while at is not None and at != first:
            rows = self.train(at)[0] + rows
            at = at.after
        return rows

    def measured(self, adapter: Path | None) -> dict[float, Measured]:
        """An adapter, or the bare model, on the part."""
        return lab_measure.of_adapter(self.asked[self.part], adapter, ANSWERS[self.part])

    def named(self, name: str) -> dict[str, Any]:
        """What identifies a row."""
        return {"arm": name, "seed": self.seed, "part": self.part}

    def begun(self) -> dict[str, Any]:
        """The adapter that every arm starts from, and what its log holds."""
        logged = lab_measure.measure(self.answers(self.start()))
        return {
            **self.named("sft"),
            "train_cpu_seconds": facts(self.start().parent)["cpu_seconds"],
            "at": lab_measure.all_told(self.measured(self.start())),
            "by_family": lab_measure.by_family(self.measured(self.start())),
            "log": lab_measure.told(logged),
            "text_loops_in_log": logged.codes.get("REP_LOOP", 0),
        }

    def bare(self) -> dict[str, Any]:
        """The model before any training."""
        return {**self.named("base"), "at": lab_measure.all_told(self.measured(None))}

    def run(self, arm: Arm, against: Sequence[Arm] = ()) -> dict[str, Any]:
        """One arm: its pairs, its training, its figures beside those of the start and of others."""
        rows, adapter = self.train(arm)
        if adapter is None:
            return {**self.named(arm.name), "spec": asdict(arm), "said": "no pairs"}
        after, done = self.measured(adapter), facts(adapter.parent)
        others: dict[str, Path | None] = {"sft": self.start()} if self.beside_start else {}
        others |= {each.name: self.train(each)[1] for each in against}
        return {
            **self.named(arm.name),
            "spec": asdict(arm),
            "pairs": len(rows),
            "trained_on": done["rows"],
            "steps": done["steps"],
            "stopped": done["stopped"],
            "train_cpu_seconds": done["cpu_seconds"],
            "peak_gb": done["peak_gb"],
            "at": lab_measure.all_told(after),
            "by_family": lab_measure.by_family(after),
            "against": {
                name: lab_measure.all_paired(self.measured(other), after)
                for name, other in others.items()
                if other not in (None, adapter)
            },
        }


def run_all(
    path: Path,
    lab: Lab,
    arms: Sequence[Arm],
    *,
    control: Arm,
    base: bool = False,
    begun: bool = True,
) -> None:
    """Every arm, recorded as it ends beside the control; before them what `base` and `begun` ask.

    Args:
        base: the model before any training.
        begun: the adapter that every arm starts from; each arm is then set beside it.
    """
    lab.beside_start = begun
    todo = [("base", lab.bare)] * base + [("sft", lab.begun)] * begun
    todo += [(arm.name, _later(lab, arm, control)) for arm in arms]
    for name, work in todo:
        if has(path, lab.named(name)):
            continue
        say(f"arm {name}, seed {lab.seed}, {lab.part}")
        row = work()
        record(path, row, common(lab))
        say(f"arm {name}: {short(row)}")


def _later(lab: Lab, arm: Arm, control: Arm) -> Any:
    return lambda: lab.run(arm, () if arm == control else (control,))


def pool(path: Path, labs: Sequence[Lab], arms: Sequence[Arm]) -> None:
    """Each arm over all seeds, beside each that stands before it, the start first.

    Every seed is read from its row in the results: its answers need not be kept.
    """
    names = ["sft"] * labs[0].beside_start + [arm.name for arm in arms]
    found: dict[str, dict[float, Measured]] = {}
    for name in names:
        seeds = [read for lab in labs if (read := _remembered(path, lab, name)) is not None]
        if seeds:
            found[name] = {t: lab_measure.together([one[t] for one in seeds]) for t in seeds[0]}
    rows = [
        {
            "arm": name,
            "seeds": [lab.seed for lab in labs],
            "part": labs[0].part,
            "at": lab_measure.all_told(one),
            "against": {
                other: lab_measure.all_paired(found[other], one)
                for other in list(found)[: list(found).index(name)]
            },
        }
        for name, one in found.items()
    ]
    store.write_json(path, {**store.read_json(path), "pooled": rows})


def _remembered(path: Path, lab: Lab, name: str) -> dict[float, Measured] | None:
    """A row of the results; None for an arm that had no pairs."""
    row = next(row for row in known(path) if is_row(row, lab.named(name)))
    if "said" in row:
        return None
    return lab_measure.remembered(row, lab.asked[lab.part], ANSWERS[lab.part])


def common(lab: Lab) -> dict[str, Any]:
    """What the arms share, for their results."""
    return {
        "model": f"SmolLM2-135M-Instruct, {lab_model.number_format()}",
        "questions": counts(lab.asked),
        "common": {
            "first_sft": lab_model.unusual(lab_model.FIRST),
            "sft": lab_model.unusual(SFT),
            "dpo": lab_model.unusual(DPO),
            "kto": lab_model.unusual(KTO),
            "samples": SAMPLES,
            "sampling_temperature": TEMPERATURE,
            "pairs_per_prompt": PER_PROMPT,
            "answers": ANSWERS,
        },
    }
