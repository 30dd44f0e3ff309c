"""The OCR laboratory's parts: what is drawn is what the gold says, and the families are real."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("the benchmarks are not part of the wheel", allow_module_level=True)
pytest.importorskip("PIL")
sys.path.insert(0, str(BENCHMARKS))

from parts import ocr_layout, ocr_pages, ocr_text, ocr_tokens  # noqa: E402

from misstep import api, recipes, store  # noqa: E402
from misstep.config import load_config  # noqa: E402
from misstep.types import Message, Part, Session  # noqa: E402

pytestmark = pytest.mark.source


def test_a_page_is_made_from_its_number_alone() -> None:
    first, again = ocr_pages.page("dev", 7), ocr_pages.page("dev", 7)
    assert first.png == again.png
    assert first.gold == again.gold
    assert first.png != ocr_pages.page("dev", 8).png


def test_no_part_shares_a_page_with_another() -> None:
    golds = {part: {each.png for each in ocr_pages.pages(part, 60)} for part in ocr_pages.PARTS}
    seen: set[bytes] = set()
    for pictures in golds.values():
        assert not seen & pictures
        seen |= pictures


@pytest.mark.parametrize("setting", ["SHORT", "LONG", "FULL"])
def test_the_gold_is_what_stands_in_the_cells(setting: str) -> None:
    columns = set()
    for number in range(300):
        stream = ocr_pages.stream_of("dev", number)
        made = ocr_layout.sheet(stream, getattr(ocr_layout, setting))
        cells = ocr_pages.cells(made)
        for field, text in made.gold.items():
            read = "".join("\n" if at < 0 else cells[at] for at in made.places[field])
            assert read == text
        rows = [row.strip() for row in made.grid]
        left = made.places["text"][0] % 16
        columns.add(left)
        body = [row[left:].rstrip() for row in made.grid]
        for line in made.gold["text"].split("\n"):
            assert line in body
        for field in ("header", "footer"):
            assert field not in made.gold or made.gold[field].strip() in rows
    assert (len(columns) > 1) == (setting == "SHORT")  # lines of leaders are as wide as the page


def test_every_kind_of_page_is_drawn_in_the_alphabet() -> None:
    kinds = set()
    for number in range(300):
        made = ocr_layout.sheet(ocr_pages.stream_of("train", number), ocr_layout.LONG)
        kinds.add(made.kind)
        assert set("".join(made.grid)) <= set(ocr_text.ALPHABET)
    assert kinds == set(ocr_layout.KINDS)


def test_a_face_without_accents_has_them_struck_over() -> None:
    plain = ocr_layout.Setting(noise=0)
    drawn = []
    for letter in "aáâã":
        grid = (letter.center(16), *[" " * 16] * 15)
        sheet = ocr_layout.Sheet(kind="prose", grid=grid, gold={}, places={})
        drawn.append(ocr_pages.render(sheet, ocr_pages.stream_of("dev", 0), plain).tobytes())
    assert len(set(drawn)) == 4


def test_both_folders_are_read_as_pages_with_their_gold(tmp_path: Path) -> None:
    made = list(ocr_pages.pages("train", 5))
    ocr_pages.write_benchmark(tmp_path / "parquet", made)
    ocr_pages.write_imagefolder(tmp_path / "imagefolder", made)
    for shape in ("parquet", "imagefolder"):
        scanned = api.scan([tmp_path / shape], load_config(None, {"ingest.workers": 1}))
        golds = [session.messages[-1].text for session in scanned.sessions]
        assert sorted(map(json.loads, golds), key=repr) == sorted(
            (json.loads(each.gold) for each in made), key=repr
        )


def test_the_ratios_say_how_much_rarer_degenerate_pages_are() -> None:
    import ocr

    def row(
        family: str, arm: str, count: int, *, seed: int = 1, part: str = "heldout"
    ) -> dict[str, object]:
        figures = {"degenerate_published": {"k": count, "n": 300}}
        change = {"degenerate_published": {"p": 0.01}}
        against = {"sft": change, "control": change}
        named = {"family": family, "seed": seed, "part": part, "arm": arm}
        return {**named, "figures": figures, "against": against}

    table = [row("llava", "sft", 80), row("llava", "control", 60), row("llava", "dpo", 20)]
    table += [row("llava", "sft", 80, seed=2), row("llava", "dpo", 40, seed=2)]
    table += [
        row("gemma3", "sft", 100),
        row("gemma3", "dpo", 5),
        row("llava", "dpo", 1, part="dev"),
    ]
    found = ocr.ratios(table)
    assert found["drop_vs_sft, llava, seed 1"] == 0.75
    assert found["p_vs_sft, llava, seed 1"] == 0.01
    assert found["drop_vs_control, llava, seed 1"] == 0.6667
    # a family with two seeds counts once
    assert found["drop_vs_sft"] == pytest.approx(((0.75 + 0.5) / 2 + 0.95) / 2, abs=1e-4)
    assert found["best_drop_vs_sft"] == 0.95
    assert found["worst_drop_vs_sft"] == 0.625
    assert ocr.ratios([row("llava", "sft", 0), row("llava", "dpo", 0)]) == {}


def test_random_rejects_are_other_clean_answers_to_the_same_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parts import ocr_arms

    from misstep import train
    from misstep.pipeline.kept import scan_stage

    monkeypatch.setenv("MISSTEP_LAB", str(tmp_path))
    plan = ocr_arms.Plan(train=3, heldout=1)
    lab = ocr_arms.Lab("llava", plan, 1, "dev")
    monkeypatch.setattr(ocr_arms.Lab, "model", tmp_path / "model")
    corpus = scan_stage(ocr_arms.begin(lab.run, lab.config, ocr_arms.silent, str), [lab.pages])
    sessions = sorted(corpus.sessions.values(), key=lambda each: each.id)
    answers = [
        (session, text)
        for session in sessions[:2]
        for text in (session.messages[-1].text, '{"text": "another"}', "broken")
    ]
    rows = [
        {
            "session": session.id,
            "step": 1,
            "kind": "sampled",
            "answer": store.encode(answered(text)).decode(),
            "seconds": 0.0,
        }
        for session, text in answers
    ]
    store.write_rows(lab.run / "answers/resample.parquet", rows, columns=tuple(rows[0]))
    pairs = [
        train.Row(
            id=session.id,
            prompt=train_prompt(session),
            context=session.context_of(1),
            chosen=answered(session.messages[-1].text),
            rejected=answered("loop"),
            family=session.id,
        )
        for session in sessions[:3]
    ]
    made = ocr_arms.random_rejects(lab, pairs)
    assert [row.id for row in made] == [session.id for session in sessions[:2]]
    assert {row.rejected.text for row in made if row.rejected} == {'{"text": "another"}'}


def answered(text: str) -> Message:
    return Message(role="assistant", parts=(Part(kind="text", text=text),), finish_reason="stop")


def train_prompt(session: Session) -> tuple[Message, ...]:
    """The messages before the answer as a row of pairs holds them, without origins."""
    return tuple(replace(message, origins=()) for message in session.messages[:-1])


def test_the_settings_of_the_demo_and_of_the_laboratory_can_be_used() -> None:
    from parts import ocr_arms

    ground = recipes.settings("ocr", model="any", preset="cpu")
    demo = load_config(BENCHMARKS / "parts" / "ocr-demo.yaml", {}, ground)
    lab = load_config(None, {}, ocr_arms.over(ground, ocr_arms.SETTINGS))
    for config in (demo, lab):
        assert config.mine.sources == ("resample",)
        assert config.sample.max_new_tokens == ocr_arms.CAP
        assert config.ingest.pages.instruction == ""
        assert config.validate.limits.loop_length == 60


def test_laboratory_and_demo_reject_loops_as_the_recipe_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from parts import ocr_arms

    monkeypatch.setattr(ocr_arms, "train_family", lambda name, folder, course: folder)
    ground = recipes.settings("ocr", model="any", preset="cpu")
    demo = load_config(BENCHMARKS / "parts" / "ocr-demo.yaml", {}, ground)
    lab = ocr_arms.Lab("llava", ocr_arms.Plan(), 0, "dev").config
    assert lab.mine.rejected == load_config(None, {}, ground).mine.rejected == ("loops",)
    assert demo.mine.rejected == ("loops",)
    assert demo.mine.min_agreement == lab.mine.min_agreement
    assert demo.eval.control


@pytest.mark.model
def test_the_tokenizer_gives_back_every_gold_text() -> None:
    words = ocr_tokens.tokenizer()
    for each in ocr_pages.pages("dev", 40):
        ids = words.encode(each.gold, add_special_tokens=False)
        assert words.decode(ids, skip_special_tokens=True) == each.gold
        assert len(ids) < len(each.gold)
        assert words.unk_token_id not in ids


@pytest.mark.model
@pytest.mark.parametrize("name", ["llava", "idefics3", "gemma3", "llava-next", "paligemma"])
def test_a_family_loads_from_its_folder_and_shows_every_cell_as_a_token(
    name: str, tmp_path: Path
) -> None:
    import torch
    from parts import ocr_families, ocr_vanilla

    from misstep import models
    from misstep.models.eye import STAND_IN

    model, processor = ocr_families.build(name, 16, 0)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert 1_000_000 <= sum(each.numel() for each in model.parameters()) <= 5_000_000
    page = ocr_pages.page("dev", 0)
    folder = ocr_pages.write_benchmark(tmp_path / "pages", [page])
    images = tmp_path / "images"
    demo = load_config(BENCHMARKS / "parts" / "ocr-demo.yaml", {"ingest.images": str(images)})
    (session,) = api.scan([folder], demo).sessions
    loaded = models.load(str(tmp_path), dtype="float32", images=images)
    assert loaded.eye is not None
    ids = loaded.template.prompt_ids(session.messages[:-1], session.context_of(1))
    seen = ocr_vanilla.asked(loaded.eye.processor, [page.image])["input_ids"][0].tolist()
    # the first training and misstep put the same question
    assert [loaded.eye.placeholder if i >= STAND_IN else i for i in ids] == seen
    inputs = ocr_vanilla.encoded(loaded.eye.processor, [page, ocr_pages.page("dev", 1)])
    pictures = (inputs["input_ids"] == model.config.image_token_id).sum(1)
    tiles = 8 * 8 + 16 if name == "llava-next" else 0
    assert pictures.tolist() == [256 + tiles] * 2
    with torch.no_grad():
        assert torch.isfinite(loaded.network(**inputs).loss)
