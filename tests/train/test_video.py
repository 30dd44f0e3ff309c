"""Architectures whose processors need torchvision: Qwen2.5-VL and SmolVLM, made tiny.

They run where torchvision imports (`pip install 'misstep[vision]'`, with a torch that it fits) and
are skipped elsewhere.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL", reason="needs the ocr extra")
pytest.importorskip("torchvision", reason="needs the vision extra", exc_type=ImportError)
pytest.importorskip("num2words", reason="needs the vision extra")

from eyed import NOTHING, asked, native, pages, said  # noqa: E402
from misstep.config import DpoConfig, LoraConfig, SftConfig  # noqa: E402
from misstep.models import load, sample  # noqa: E402
from misstep.train import Row, TrainSettings, merge, train_dpo, train_sft  # noqa: E402
from tiny_vision import WITH_VIDEO, build_eyed  # noqa: E402

WAYS = {"qwen2_5_vl": "decoder", "smolvlm": "decoder"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def names(folder):
    return pages(folder)


@pytest.fixture(scope="module", params=WITH_VIDEO)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def home(kind, tmp_path_factory):
    return str(build_eyed(tmp_path_factory.mktemp("eyed") / kind, kind))


def rows_of(names):
    return [
        Row(
            id=f"row{at}",
            prompt=asked(name, f"read {at}"),
            context=NOTHING,
            chosen=said(f"page {at}"),
            rejected=said("the the the the"),
            cut=True,
            family=f"f{at}",
        )
        for at, name in enumerate(names)
    ]


def test_greedy_answers_are_those_of_transformers(kind, home, folder, names):
    loaded = load(home, dtype="float32", images=folder)
    assert loaded.sight.way == WAYS[kind]
    prompts = [loaded.template.prompt_ids(asked(name, "read it"), NOTHING) for name in names]
    prompts.append(loaded.template.prompt_ids(asked(names[0], " and ", names[3]), NOTHING))
    prompts.append(loaded.template.prompt_ids(asked("no image at all"), NOTHING))
    shown = [[name] for name in names] + [[names[0], names[3]], []]
    answers = sample(loaded, prompts, temperature=0, max_new_tokens=8)
    for ids, (answer,), seen in zip(prompts, answers, shown, strict=True):
        given = native(loaded, seen, ids)
        out = loaded.network.generate(**given, max_new_tokens=8, do_sample=False)
        assert out[0, len(ids) :].tolist() == list(answer.ids)


def test_several_answers_to_a_prompt_are_those_that_it_gets_alone(home, folder, names):
    loaded = load(home, dtype="float32", images=folder)
    prompts = [loaded.template.prompt_ids(asked(name, "read it"), NOTHING) for name in names]
    how = {"num_generations": 3, "max_new_tokens": 6, "seed": 2}
    together = sample(loaded, prompts, **how)
    alone = [sample(loaded, [prompt], **how)[0] for prompt in prompts]
    assert [[a.ids for a in each] for each in together] == [[a.ids for a in each] for each in alone]


def test_log_probabilities_equal_a_forward_pass_of_each_side(home, folder, names):
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    from misstep.train.logps import score
    from misstep.train.reading import reading

    loaded = load(home, dtype="float32", images=folder)
    encoded = [
        (
            loaded.template.encode(row.prompt, NOTHING, answer=row.chosen),
            loaded.template.encode(row.prompt, NOTHING, answer=row.rejected, end=False),
        )
        for row in rows_of(names)
    ]
    rows = [(one.prompt_ids, one.answer_ids, other.answer_ids) for one, other in encoded]
    inputs = DataCollatorForPreference(pad_token_id=0)(
        [{"prompt_ids": p, "chosen_ids": c, "rejected_ids": r} for p, c, r in rows]
    )
    mask = inputs.pop("completion_mask")
    labels = inputs["input_ids"].masked_fill(mask == 0, -100)
    how = reading(loaded.model, shared=True, sight=loaded.sight)
    assert how.shared
    with torch.no_grad():
        theirs = []
        for side in (1, 2):
            for row, name in zip(rows, names, strict=True):
                ids = [*row[0], *row[side]]
                out = loaded.network(**native(loaded, [name], ids, len(row[0]))).logits[0]
                places = torch.arange(len(row[0]) - 1, len(ids) - 1)
                theirs.append(out.log_softmax(-1)[places, torch.tensor(row[side])])
        found = score(loaded.model, inputs, labels, shared=how.shared, sight=loaded.sight)
    for values, wanted, other in zip(found.log_probs, labels[:, 1:] != -100, theirs, strict=True):
        torch.testing.assert_close(values[wanted], other, atol=1e-3, rtol=1e-4)


def test_from_rows_to_a_merged_model(kind, home, folder, names, tmp_path):
    more = {"lora": LoraConfig(), "run": TrainSettings(dtype="float32", images=folder)}
    config = SftConfig(num_train_epochs=3.0, learning_rate=3e-3)
    sft = train_sft(
        rows_of(names), base=home, adapter=None, out=tmp_path / "sft", config=config, **more
    )
    config = DpoConfig(num_train_epochs=3.0, learning_rate=3e-3)
    dpo = train_dpo(
        rows_of(names), base=home, adapter=sft.adapter, out=tmp_path / "dpo", config=config, **more
    )
    margins = [entry["rewards/margins"] for entry in dpo.log if "rewards/margins" in entry]
    assert margins[0] == pytest.approx(0, abs=1e-3)
    assert margins[-1] > 0
    merged = merge(home, dpo.adapter, tmp_path / "merged", dtype="float32")
    tuned = load(home, adapter=dpo.adapter, dtype="float32", images=folder)
    whole = load(str(merged), dtype="float32", images=folder)
    prompts = [tuned.template.prompt_ids(row.prompt, NOTHING) for row in rows_of(names)]
    how = {"seed": 3, "max_new_tokens": 8}
    answers = [a[0].ids for a in sample(tuned, prompts, **how)]
    assert answers == [a[0].ids for a in sample(whole, prompts, **how)]
