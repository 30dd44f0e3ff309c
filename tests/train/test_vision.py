"""Training on prompts with images: values, gradients, the whole way from rows to a merged model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL", reason="needs the ocr extra")

from eyed import NOTHING, asked, native, pages, said  # noqa: E402
from misstep.config import DpoConfig, KtoConfig, LoraConfig, SftConfig  # noqa: E402
from misstep.models import load, sample  # noqa: E402
from misstep.train import Row, TrainSettings, merge, train_dpo, train_kto, train_sft  # noqa: E402
from tiny_vision import ARCHITECTURES, build_eyed  # noqa: E402

SHARING = ("llava", "llava_next", "idefics3")
"""Architectures whose language model reads embeddings as the whole does."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def names(folder):
    return pages(folder)


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    home = tmp_path_factory.mktemp("eyed")
    return {kind: str(build_eyed(home / kind, kind)) for kind in ARCHITECTURES}


def ids_of(loaded, names):
    """Rows of one page, of two, of none; two that share page and text."""
    prompts = [
        asked(names[0], "read this"),
        asked(names[0], "read this"),
        asked("look ", names[1], " and ", names[2]),
        asked("no image"),
    ]
    sides = [("one two", "one three four"), ("five", "one two"), ("six", "x x x x"), ("a", "b")]
    made = []
    for prompt, (good, bad) in zip(prompts, sides, strict=True):
        chosen = loaded.template.encode(prompt, NOTHING, answer=said(good))
        rejected = loaded.template.encode(prompt, NOTHING, answer=said(bad), end=False)
        assert (chosen.refused, rejected.refused) == (None, None)
        made.append((chosen.prompt_ids, chosen.answer_ids, rejected.answer_ids))
    return made, [[names[0]], [names[0]], names[1:3], []]


def adapted(loaded):
    from peft import LoraConfig as Lora
    from peft import get_peft_model

    torch.manual_seed(0)
    lora = Lora(r=4, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(loaded.model, lora).eval()


def plainly(model, loaded, rows, images):
    """Log-probabilities of each side by a forward pass of its own: [(chosen, rejected)]."""
    found = []
    for side in (1, 2):
        for row, names in zip(rows, images, strict=True):
            ids = [*row[0], *row[side]]
            given = native(loaded, names, ids, len(row[0]))
            out = model(**given).logits[0].log_softmax(-1)
            places = torch.arange(len(row[0]) - 1, len(ids) - 1)
            found.append(out[places, torch.tensor(row[side])])
    return found


def batch(rows):
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    inputs = DataCollatorForPreference(pad_token_id=0)(
        [{"prompt_ids": p, "chosen_ids": c, "rejected_ids": r} for p, c, r in rows]
    )
    mask = inputs.pop("completion_mask")
    return inputs, inputs["input_ids"].masked_fill(mask == 0, -100)


def gradients(model, scored):
    """Of a loss that weighs every token differently."""
    model.zero_grad()
    sum((one * torch.arange(len(one)).add(1).sin()).sum() for one in scored).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("budget", [0, 80])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_values_and_gradients_equal_a_forward_pass_of_each_side(homes, folder, names, kind, budget):
    from misstep.train.logps import score
    from misstep.train.reading import reading

    loaded = load(homes[kind], dtype="float32", images=folder)
    model = adapted(loaded)
    rows, images = ids_of(loaded, names)
    theirs = plainly(model, loaded, rows, images)
    yours = gradients(model, theirs)
    inputs, labels = batch(rows)
    how = reading(model, shared=True, budget=budget, sight=loaded.sight)
    assert how.shared is (kind in SHARING)
    found = score(
        model, inputs, labels, shared=how.shared, budget=budget, sight=loaded.sight
    ).log_probs
    kept = labels[:, 1:] != -100
    ours = [values[wanted] for values, wanted in zip(found, kept, strict=True)]
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-3, rtol=1e-4)
    got = gradients(model, ours)
    assert got.keys() == yours.keys()
    for name, grad in yours.items():
        if float(grad.norm()) > 1e-2:
            assert float((got[name] - grad).norm() / grad.norm()) < 1e-5, name
    assert any("vision" in name and float(grad.norm()) > 0 for name, grad in yours.items())


def test_an_architecture_read_whole_gives_the_same_too(homes, folder, names):
    from misstep.train.logps import score

    loaded = load(homes["llava"], dtype="float32", images=folder)
    rows, _ = ids_of(loaded, names)
    inputs, labels = batch(rows)
    found = {}
    for way in ("decoder", "rows", "whole"):
        loaded.sight._way = way
        shared = way == "decoder"
        with torch.no_grad():
            out = score(loaded.model, inputs, labels, shared=shared, sight=loaded.sight)
        found[way] = out.log_probs
    torch.testing.assert_close(found["rows"], found["decoder"], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(found["whole"], found["decoder"], atol=1e-3, rtol=1e-4)


def test_an_image_is_read_once_for_both_sides_and_for_all_epochs(homes, folder, names, monkeypatch):
    from misstep.models.sight import Sight

    seen = []
    plain = Sight._seen
    monkeypatch.setattr(
        Sight,
        "_seen",
        lambda self, inputs, count: seen.append(len(inputs)) or plain(self, inputs, count),
    )
    tokens = []
    reads = Sight.base_model
    monkeypatch.setattr(
        Sight,
        "base_model",
        lambda self, *, input_ids, **more: (
            tokens.append(input_ids.shape[1]) or reads(self, input_ids=input_ids, **more)
        ),
    )
    out = folder.parent / "once"
    trained = train_dpo(
        rows_of(names, 4),
        base=homes["llava"],
        adapter=None,
        out=out,
        **settings(folder, DpoConfig(per_device_train_batch_size=1, num_train_epochs=3.0)),
    )
    assert trained.steps == 12
    assert sum(seen) == len(names) + 1  # and the sample by which the way of reading is found
    prompt = len(
        load(homes["llava"], images=folder).template.prompt_ids(
            rows_of(names, 1)[0].prompt, NOTHING
        )
    )
    assert all(prompt < length < 2 * prompt for length in tokens[1:])


def rows_of(names, count):
    return [
        Row(
            id=f"row{at}",
            prompt=asked(names[at % len(names)], f"read {at}"),
            context=NOTHING,
            chosen=said(f"page {at % len(names)}"),
            rejected=said("the the the the the"),
            cut=True,
            family=f"f{at}",
            codes=("REP_LOOP",),
        )
        for at in range(count)
    ]


def settings(folder, config, **lora):
    run = TrainSettings(dtype="float32", images=folder)
    return {"config": config, "lora": LoraConfig(**lora), "run": run}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_from_rows_to_a_merged_model(homes, folder, names, tmp_path, kind):
    base, rows = homes[kind], rows_of(names, 8)
    sft = train_sft(
        rows,
        base=base,
        adapter=None,
        out=tmp_path / "sft",
        **settings(folder, SftConfig(num_train_epochs=4.0, learning_rate=3e-3)),
    )
    losses = [entry["loss"] for entry in sft.log if "loss" in entry]
    assert losses[-1] < losses[0] - 0.2
    dpo = train_dpo(
        rows,
        base=base,
        adapter=sft.adapter,
        out=tmp_path / "dpo",
        **settings(folder, DpoConfig(num_train_epochs=4.0, learning_rate=3e-3)),
    )
    rewards = [entry["rewards/margins"] for entry in dpo.log if "rewards/margins" in entry]
    assert rewards[0] == pytest.approx(0, abs=1e-3)
    assert rewards[-1] > 0.2
    weights = json.loads((dpo.adapter / "adapter_config.json").read_text())["target_modules"]
    assert "vision" not in weights
    note = json.loads((dpo.adapter / "misstep_adapter.json").read_text())
    assert note["images"] == ("decoder" if kind in SHARING else "rows")
    told = [entry["note"] for entry in dpo.log if "note" in entry]
    assert any("row by row" in said for said in told) is (kind not in SHARING)
    merged = merge(base, dpo.adapter, tmp_path / "merged", dtype="float32")
    tuned = load(base, adapter=dpo.adapter, dtype="float32", images=folder)
    whole = load(str(merged), dtype="float32", images=folder)
    prompts = [tuned.template.prompt_ids(row.prompt, NOTHING) for row in rows]
    how = {"temperature": 1.0, "seed": 3, "max_new_tokens": 8}
    assert tuned.template.prompt_ids(rows[0].prompt, NOTHING) == prompts[0]
    answers = [a[0].ids for a in sample(tuned, prompts, **how)]
    assert answers == [a[0].ids for a in sample(whole, prompts, **how)]
    plain = load(base, dtype="float32", images=folder)
    assert answers != [a[0].ids for a in sample(plain, prompts, **how)]


def test_answers_without_a_partner_are_trained_on_by_kto(homes, folder, names, tmp_path):
    good = [replace(row, rejected=None, cut=False) for row in rows_of(names, 4)]
    bad = [
        replace(row, id=row.id + "-bad", chosen=row.rejected, rejected=None, label=False)
        for row in rows_of(names, 4)
    ]
    config = KtoConfig(per_device_train_batch_size=4, num_train_epochs=2.0)
    trained = train_kto(
        [*good, *bad],
        base=homes["llava"],
        adapter=None,
        out=tmp_path / "kto",
        **settings(folder, config),
    )
    assert (trained.steps, trained.rows, trained.set_aside) == (4, 8, ())


def test_every_weight_can_be_trained_the_tower_too(homes, folder, names, tmp_path):
    trained = train_sft(
        rows_of(names, 4),
        base=homes["llava"],
        adapter=None,
        out=tmp_path / "full",
        **settings(folder, SftConfig(num_train_epochs=2.0), enabled=False),
    )
    before = load(homes["llava"], dtype="float32").model.state_dict()
    after = load(str(trained.adapter), dtype="float32", images=folder).model.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert any("vision_tower" in name for name in moved)
    assert any("multi_modal_projector" in name for name in moved)
    assert any("language_model" in name for name in moved)


def test_other_layers_are_trained_where_they_are_named(homes, folder, names, tmp_path):
    trained = train_sft(
        rows_of(names, 4),
        base=homes["llava"],
        adapter=None,
        out=tmp_path / "connector",
        **settings(
            folder,
            SftConfig(num_train_epochs=3.0),
            lora_target_modules=r".*multi_modal_projector\.linear_\d",
        ),
    )
    from safetensors.torch import load_file

    weights = load_file(trained.adapter / "adapter_model.safetensors")
    assert len(weights) == 4
    assert all("multi_modal_projector" in name for name in weights)
    assert any(float(value.abs().max()) > 0 for name, value in weights.items() if "lora_B" in name)


def test_rows_that_cannot_be_used_are_set_aside_and_no_image_is_cut(homes, folder, names, tmp_path):
    lost = asked("sha256:" + "1" * 64, "read")
    rows = [*rows_of(names, 2), replace(rows_of(names, 1)[0], id="lost", prompt=lost)]
    long = replace(rows[0], id="long", prompt=asked(*names, *names, "all"))
    trained = train_sft(
        [*rows, long],
        base=homes["llava"],
        adapter=None,
        out=tmp_path / "sft",
        **settings(folder, SftConfig(max_length=64)),
    )
    assert trained.rows == 2
    assert {each.origin.row: each.reason for each in trained.set_aside} == {
        "lost": "image",
        "long": "too-long",
    }


def trls(home, rows, folder, out):
    """TRL's own trainer on the same pairs: images, rendered prompts, sides with what ends them."""
    from datasets import Dataset
    from PIL import Image
    from trl import DPOConfig as TrlConfig
    from trl import DPOTrainer

    from misstep.train.stage import Job, attach

    loaded = load(home, dtype="float32", images=folder)
    made = []
    for row in rows:
        names = [part.text for m in row.prompt for part in m.parts if part.kind == "image"]
        files = [folder / name.removeprefix("sha256:") for name in names]
        made.append(
            {
                "images": [Image.open(file).convert("RGB") for file in files],
                "prompt": loaded.template.prompt_text(row.prompt, NOTHING),
                "chosen": loaded.template.answer_text(row.chosen),
                "rejected": loaded.template.answer_text(row.rejected, not row.cut),
            }
        )
    more = settings(folder, DpoConfig())
    job = Job(name="dpo", loaded=loaded, adapter=None, out=out, **more)
    args = TrlConfig(
        output_dir=str(out),
        per_device_train_batch_size=len(rows),
        beta=0.5,
        max_length=None,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to="none",
    )
    return DPOTrainer(
        model=attach(job),
        args=args,
        processing_class=loaded.eye.processor,
        train_dataset=Dataset.from_list(made),
    )


def ours(home, rows, folder, out):
    from misstep.train.dpo import pair_trainer
    from misstep.train.rows import tokenise
    from misstep.train.stage import Job

    loaded = load(home, dtype="float32", images=folder)
    config = DpoConfig(
        loss_type=("sigmoid",),
        loss_weights=(1.0,),
        per_device_train_batch_size=len(rows),
        preference_tokens="all",
    )
    job = Job(name="dpo", loaded=loaded, adapter=None, out=out, **settings(folder, config))
    ids, aside = tokenise(rows, loaded.template, max_length=1024, pairs=True)
    assert not aside
    trainer = pair_trainer(job, config, ids)
    trainer.refer(trainer.references([list(range(len(ids)))]))
    return trainer


@pytest.mark.parametrize("kind", [kind for kind in ARCHITECTURES if kind != "paligemma"])
def test_the_loss_of_trl_on_the_same_pairs_has_the_same_gradients(
    homes, folder, names, tmp_path, kind
):
    from misstep.train.stage import quiet

    rows = [replace(row, cut=False) for row in rows_of(names, 3)]
    found = []
    with quiet():
        for make in (ours, trls):
            trainer = make(homes[kind], rows, folder, tmp_path / make.__name__)
            model = trainer.model.train()
            inputs = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
            loss = trainer.compute_loss(model, inputs)
            loss.backward()
            grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
            found.append((float(loss), grads, trainer._metrics["train"]))
    (loss, mine, told), (theirs, yours, said_by_trl) = found
    assert loss == pytest.approx(theirs, abs=1e-5)
    for side in ("chosen", "rejected"):
        assert told[f"logps/{side}"] == pytest.approx(said_by_trl[f"logps/{side}"], abs=1e-3)
    assert mine.keys() == yours.keys()
    moving = [name for name, grad in yours.items() if float(grad.norm()) > 1e-3]
    assert len(moving) > 5
    for name in moving:
        assert float((mine[name] - yours[name]).norm() / yours[name].norm()) < 1e-5, name


def test_an_interrupted_training_goes_on_to_the_same_weights(homes, folder, names, tmp_path):
    class Killed(Exception):
        pass

    def until(limit):
        def progress(step, _steps, _loss):
            if step == limit:
                raise Killed

        return progress

    config = DpoConfig(num_train_epochs=4.0, per_device_train_batch_size=2, save_steps=2)
    given = {"base": homes["llava"], "adapter": None, "config": config, "lora": LoraConfig()}
    run = TrainSettings(dtype="float32", images=folder)
    rows = rows_of(names, 4)
    whole = train_dpo(rows, out=tmp_path / "whole", run=run, **given)
    with pytest.raises(Killed):
        train_dpo(rows, out=tmp_path / "two", run=replace(run, progress=until(5)), **given)
    assert (tmp_path / "two.work" / "checkpoint-4").is_dir()
    resumed = train_dpo(rows, out=tmp_path / "two", run=run, **given)
    assert (resumed.steps, resumed.sha256) == (whole.steps, whole.sha256)
