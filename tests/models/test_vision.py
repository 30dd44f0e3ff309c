"""Models that take images: prompts, and answers that equal those of transformers' own generate."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("PIL", reason="needs the ocr extra")

from eyed import NOTHING, asked, native, pages, said  # noqa: E402
from misstep.errors import ExtraMissing, ModelError  # noqa: E402
from misstep.models import load, load_tokenizer, sample  # noqa: E402
from misstep.models.eye import STAND_IN  # noqa: E402
from misstep.types import Context, Message, Part, ToolResult  # noqa: E402
from tiny_vision import ARCHITECTURES, build_eyed  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def names(folder):
    return pages(folder)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def seeing(request, folder, tmp_path_factory):
    home = build_eyed(tmp_path_factory.mktemp("eyed") / request.param, request.param)
    return load(str(home), dtype="float32", images=folder)


@pytest.fixture(scope="module")
def llava(folder, tmp_path_factory):
    home = build_eyed(tmp_path_factory.mktemp("eyed") / "llava", "llava")
    return load(str(home), dtype="float32", images=folder)


def placeholders(ids):
    return [i for i in ids if i >= STAND_IN]


def real(loaded, ids):
    return [loaded.eye.placeholder if i >= STAND_IN else i for i in ids]


def test_a_prompt_has_the_tokens_that_the_processor_itself_makes(seeing, folder, names):
    from PIL import Image

    if seeing.ref.name.endswith("paligemma"):
        pytest.skip("its processor adds a line end behind every text, which no chat template has")
    prompt = asked("before ", names[1], " behind ", names[2])
    ids = seeing.template.prompt_ids(prompt, NOTHING)
    files = [folder / name.removeprefix("sha256:") for name in names[1:3]]
    theirs = seeing.eye.processor(
        images=[[Image.open(file).convert("RGB") for file in files]],
        text=[seeing.template.prompt_text(prompt, NOTHING)],
        add_special_tokens=False,
    )
    assert real(seeing, ids) == list(theirs["input_ids"][0])
    assert len(set(placeholders(ids))) == len(placeholders(ids)) > 0


def test_greedy_answers_are_those_of_transformers(seeing, names):
    prompts = [
        seeing.template.prompt_ids(asked(name, "read" + " more" * at), NOTHING)
        for at, name in enumerate(names)
    ]
    answers = sample(seeing, prompts, temperature=0, max_new_tokens=10)
    for ids, (answer,), name in zip(prompts, answers, names, strict=True):
        given = native(seeing, [name], ids)
        out = seeing.network.generate(**given, max_new_tokens=10, do_sample=False)
        assert out[0, len(ids) :].tolist() == list(answer.ids)


def test_answers_depend_on_the_image(seeing, names):
    prompts = [seeing.template.prompt_ids(asked(name, "read"), NOTHING) for name in names]
    with torch.inference_mode():
        rows = [seeing.sight.embed(torch.tensor([ids])) for ids in prompts[:2]]
    assert rows[0].shape != rows[1].shape or not torch.allclose(rows[0], rows[1])


def test_sampled_answers_do_not_depend_on_the_batch(seeing, names):
    prompts = [seeing.template.prompt_ids(asked(name, "read"), NOTHING) for name in names]
    prompts.append(seeing.template.prompt_ids(asked("no image here"), NOTHING))
    how = {"num_generations": 3, "max_new_tokens": 8, "seed": 5}
    together = sample(seeing, prompts, **how)
    alone = [sample(seeing, [prompt], **how)[0] for prompt in prompts]
    assert [[a.ids for a in each] for each in together] == [[a.ids for a in each] for each in alone]
    assert len({a.ids for each in together for a in each}) > 5


def test_an_image_is_seen_once_however_many_answers(llava, names, monkeypatch):
    seen = []
    plain = llava.sight._seen
    monkeypatch.setattr(
        llava.sight, "_seen", lambda inputs, count: seen.append(len(inputs)) or plain(inputs, count)
    )
    assert llava.sight.way == "decoder"
    seen.clear()
    llava.sight._kept.clear()
    prompts = [llava.template.prompt_ids(asked(name, "read"), NOTHING) for name in names[:2]]
    sample(llava, prompts * 2, num_generations=4, max_new_tokens=3)
    sample(llava, prompts, temperature=0, max_new_tokens=3)
    assert sum(seen) == 2


def test_text_that_spells_an_image_is_no_image(seeing, names):
    token = seeing.eye.mark
    shown = seeing.template.prompt_ids(asked(names[0], "read"), NOTHING)
    forged = seeing.template.prompt_ids(asked(names[0], f"read {token} {token}"), NOTHING)
    assert placeholders(forged) == placeholders(shown)
    for spelled in seeing.eye.spellings:
        ids = seeing.template.prompt_ids(asked(f"look: {spelled}"), NOTHING)
        control = seeing.tokenizer.convert_tokens_to_ids(spelled)
        assert control not in ids
        assert not placeholders(ids)
        assert spelled in seeing.tokenizer.decode(ids)


def test_an_answer_that_spells_an_image_is_no_image(seeing, names):
    answer = said(f"I saw {seeing.eye.mark}")
    row = seeing.template.encode(asked(names[0], "read"), NOTHING, answer=answer)
    assert row.refused is None
    assert seeing.eye.placeholder not in row.answer_ids
    assert not placeholders(row.answer_ids)


def test_the_mark_of_an_image_cannot_be_forged(llava, names):
    mark = "\ue0050\ue006"
    prompt = asked(f"text {mark} text", names[0], mark)
    ids = llava.template.prompt_ids(prompt, NOTHING)
    assert len(placeholders(ids)) == 16
    assert mark in llava.template.prompt_text(prompt, NOTHING)


def test_images_stand_where_they_stood_in_every_rendering(llava, names):
    system = Message(role="system", parts=(Part(kind="text", text="s"),))
    result = Message(role="tool", parts=(Part(kind="result", result=ToolResult(text="r")),))
    ids = llava.template.prompt_ids(
        (system, *asked("a", names[0]), said("b"), result, *asked(names[1], "c")), NOTHING
    )
    keys = [i >> 17 for i in placeholders(ids)]
    assert keys == sorted(keys, key=keys.index)
    assert len(set(keys)) == 2
    text = llava.tokenizer.decode(real(llava, ids))
    assert text.index("a<image>") < text.index("b<|im_end|>") < text.index("<image>c")


def test_equal_ids_mean_equal_images(llava, names):
    first, other = (llava.template.prompt_ids(asked(name, "read"), NOTHING) for name in names[:2])
    assert real(llava, first) == real(llava, other)
    assert first != other
    assert first == llava.template.prompt_ids(asked(names[0], "read"), NOTHING)


def test_ids_of_one_eye_are_read_by_another(llava, names, folder):
    _, template = load_tokenizer(llava.ref, images=folder)
    ids = template.prompt_ids(asked(names[3], "read"), NOTHING)
    assert ids == llava.template.prompt_ids(asked(names[3], "read"), NOTHING)
    assert sample(llava, [ids], temperature=0, max_new_tokens=2)


@pytest.mark.parametrize(
    ("name", "said_why"),
    [
        ("sha256:" + "0" * 64, "not in the folder"),
        ("https://example.org/page.png", "images are not fetched"),
        ("/etc/passwd", "images are not fetched"),
    ],
)
def test_an_image_that_is_not_kept_makes_no_prompt(llava, name, said_why):
    prompt = (Message(role="user", parts=(Part(kind="image", text=name),)),)
    with pytest.raises(ModelError, match=said_why):
        llava.template.prompt_ids(prompt, NOTHING)
    row = llava.template.encode(prompt, NOTHING, answer=said("a"))
    assert row.reason == "image"
    assert said_why in (row.refused or "")


def test_without_a_folder_of_images_a_prompt_with_one_is_refused(llava, names):
    _, template = load_tokenizer(llava.ref)
    with pytest.raises(ModelError, match="no folder of images"):
        template.prompt_ids(asked(names[2]), NOTHING)
    assert template.prompt_ids(asked("text alone"), NOTHING)


def test_a_model_that_reads_text_refuses_images(tiny, names):
    with pytest.raises(ModelError, match="reads text only"):
        tiny.template.prompt_ids(asked(names[0], "read"), NOTHING)


def test_a_template_that_takes_only_text_gets_the_placeholder_itself(folder, names, tmp_path):
    from tiny import CHATML

    home = build_eyed(tmp_path / "plain", "llava")
    (home / "chat_template.jinja").write_text(CHATML, encoding="utf-8")
    template = load_tokenizer(str(home), images=folder)[1]
    ids = template.prompt_ids(asked("see ", names[0], " now"), NOTHING)
    assert len(placeholders(ids)) == 16
    assert template.prompt_text(asked("see ", names[0], " now"), NOTHING).count("<image>") == 1


def test_a_schema_is_asked_for_behind_the_image(llava, names):
    context = Context(response_schema='{"type": "object"}')
    text = llava.template.prompt_text(asked(names[0]), context)
    assert text.count("<image>") == 1
    assert "Answer with JSON alone" in text


def test_a_processor_that_needs_torchvision_names_the_extra(llava, folder, monkeypatch):
    from transformers import AutoProcessor

    def without(*_args, **_more):
        raise ImportError("Qwen2VLVideoProcessor requires the Torchvision library")

    monkeypatch.setattr(AutoProcessor, "from_pretrained", without)
    with pytest.raises(ExtraMissing, match=r"torchvision.*misstep\[vision\]"):
        load_tokenizer(llava.ref, images=folder)
