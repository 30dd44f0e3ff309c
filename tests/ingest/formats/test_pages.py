"""Pages with gold, in the four forms in which they come: read, and set aside with the reason."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ocr_pages as pages
from misstep import store
from misstep.config import IngestConfig, PagesConfig
from misstep.errors import InputError
from misstep.ingest import FORMATS, PAGES, Ingested, ingest
from misstep.ingest.pages import INSTRUCTION
from misstep.models.fallback import turns
from misstep.types import Session


def read(folder: Path, **pages_config: Any) -> Ingested:
    config = IngestConfig(images=str(folder.parent / "kept"), pages=PagesConfig(**pages_config))
    got = ingest([folder], config=config)
    for book in got.counts.formats.values():
        assert book.records == book.used + book.ignored + book.set_aside
    return got


def asides(got: Ingested) -> list[tuple[str, str | None]]:
    return [(entry.reason, entry.origin.row) for entry in got.set_aside]


def image_of(session: Session) -> str:
    return session.messages[-2].parts[0].text or ""


def test_pages_are_formats() -> None:
    names = {known.name for known in FORMATS}
    assert set(PAGES) == {"imagefolder", "page-table", "page-pairs", "pdf-pages"} <= names


def test_a_page_is_an_instruction_an_image_and_its_gold(tmp_path: Path) -> None:
    got = read(pages.write_benchmark(tmp_path / "bench"))
    assert [s.format for s in got.sessions] == ["page-table"] * 3
    for session, gold in zip(got.sessions, pages.GOLDS, strict=True):
        system, user, answer = session.messages
        assert (system.role, system.text) == ("system", INSTRUCTION)
        assert [part.kind for part in user.parts] == ["image"]
        assert answer.text == pages.gold_text(gold)
        assert answer.finish_reason == "stop"
        assert json.loads(session.contexts[0].response_schema or "") == store.schema("ocr-page")
        kept = store.image_path(tmp_path / "kept", image_of(session)).read_bytes()
        assert kept == pages.image_bytes(gold)
    assert [s.messages[-1].origins[0].row for s in got.sessions] == ["page-0", "page-1", "page-2"]


def test_the_same_page_has_the_same_id_whether_its_image_is_kept_or_not(tmp_path: Path) -> None:
    folder = pages.write_benchmark(tmp_path / "bench")
    kept, dropped = read(folder), ingest([folder])
    assert [s.id for s in kept.sessions] == [s.id for s in dropped.sessions]


def test_a_row_with_base64_alone_or_a_path_below_the_folder_is_read(tmp_path: Path) -> None:
    rows = [pages.benchmark_row(n, gold) for n, gold in enumerate(pages.GOLDS)]
    rows[0]["image"] = {"bytes": None, "path": None}
    rows[1] = {**rows[1], "image": {"bytes": None, "path": "there.png"}, "image_base64": None}
    rows[2] = {**rows[2], "image": {"bytes": None, "path": "../out.png"}, "image_base64": None}
    folder = pages.write_benchmark(tmp_path / "bench", rows)
    (folder / "data" / "there.png").write_bytes(pages.image_bytes(pages.GOLDS[1]))
    (folder / "out.png").write_bytes(pages.image_bytes(pages.GOLDS[2]))
    got = read(folder)
    assert len(got.sessions) == 2
    assert asides(got)[-1] == ("outside-folder", "2")


def test_gold_that_cannot_be_a_target_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    rows = [pages.benchmark_row(n, pages.GOLDS[0]) for n in range(6)]
    rows[1]["assistant"] = "Aos três dias"
    rows[2]["assistant"] = '{"body": "Aos três dias"}'
    rows[3]["assistant"] = '{"text": " "}'
    rows[4]["assistant"] = ""
    rows[5]["image"]["bytes"] = rows[5]["image"]["bytes"][:400]
    got = read(pages.write_benchmark(tmp_path / "bench", rows))
    assert len(got.sessions) == 1
    assert asides(got) == [
        ("gold-not-json", "1"),
        ("gold-breaks-schema", "2"),
        ("empty-gold", "3"),
        ("empty-gold", "4"),
        ("broken-image", "5"),
    ]


def test_a_dataset_that_datasets_saved_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the train extra")
    rows = [pages.benchmark_row(n, gold) for n, gold in enumerate(pages.GOLDS)]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"))
    got = read(tmp_path / "saved")
    table = read(pages.write_benchmark(tmp_path / "bench"))
    assert [s.id for s in got.sessions] == [s.id for s in table.sessions]


def test_an_imagefolder_gives_plain_text_the_form_of_the_schema(tmp_path: Path) -> None:
    got = read(pages.write_imagefolder(tmp_path / "folder"))
    texts = [json.loads(s.messages[-1].text) for s in got.sessions]
    assert texts == [{"text": gold["text"]} for gold in pages.GOLDS]
    assert got.counts.ignored == {"page": 3}


def test_an_imagefolder_takes_json_in_a_text_column_and_columns_named_as_fields(
    tmp_path: Path,
) -> None:
    rows = [
        {"file_name": "images/0.png", "text": '{"header": "A", "text": "b"}'},
        {"file_name": "images/1.png", "header": "A", "text": "b", "footer": ""},
        {"file_name": "images/2.png", "transcription": "c", "document": "ata 7"},
    ]
    got = read(pages.write_imagefolder(tmp_path / "folder", rows))
    texts = [json.loads(s.messages[-1].text) for s in got.sessions]
    assert texts == [{"header": "A", "text": "b"}, {"header": "A", "text": "b"}, {"text": "c"}]
    assert [s.family for s in got.sessions] == ["", "", "ata 7"]


def test_a_metadata_csv_is_read_alike(tmp_path: Path) -> None:
    folder = pages.write_imagefolder(tmp_path / "folder", [])
    (folder / "metadata.jsonl").unlink()
    (folder / "metadata.csv").write_text('file_name,text\nimages/1.png,"ovos, sal"\n')
    got = read(folder)
    assert [json.loads(s.messages[-1].text) for s in got.sessions] == [{"text": "ovos, sal"}]
    assert asides(got) == [("no-gold", "images/0.png"), ("no-gold", "images/2.png")]


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/hostname", "images/../../secret.png", "a\\..\\..\\secret.png"]
)
def test_nothing_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(pages.image_bytes(pages.GOLDS[0]))
    folder = pages.write_imagefolder(tmp_path / "folder", [{"file_name": name, "text": "x"}])
    got = read(folder)
    assert not got.sessions
    refused = [entry for entry in got.set_aside if entry.reason != "no-gold"]
    # a name that does not end as an image does is no row of an imagefolder at all
    assert [entry.reason for entry in refused] in (["outside-folder"], ["unknown-format"])


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(pages.image_bytes(pages.GOLDS[0]))
    rows = [{"file_name": "images/link.png", "text": "x"}]
    folder = pages.write_imagefolder(tmp_path / "folder", rows)
    (folder / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    got = read(folder)
    assert not got.sessions
    assert ("outside-folder", None) in asides(got)


def test_an_image_beside_its_gold_is_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for kind, end in (("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("TIFF", "tif")):
        (folder / f"{kind}.{end}").write_bytes(pages.image_bytes(pages.GOLDS[0], kind))
        (folder / f"{kind}.json").write_text(json.dumps(pages.GOLDS[0], indent=2))
    got = read(folder)
    assert [s.format for s in got.sessions] == ["page-pairs"] * 4
    assert {s.messages[-1].text for s in got.sessions} == {
        json.dumps(pages.GOLDS[0], ensure_ascii=False, separators=(",", ":"))
    }
    assert got.counts.ignored == {"page": 4}


def test_gold_files_that_are_broken_and_images_without_gold_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    golds = {"cut": '{"text": "a', "other": '{"title": "a"}', "more": '{"text": "a", "b": "c"}'}
    for name, gold in golds.items():
        (folder / f"{name}.png").write_bytes(pages.image_bytes(pages.GOLDS[0]))
        (folder / f"{name}.json").write_text(gold)
    (folder / "alone.png").write_bytes(pages.image_bytes(pages.GOLDS[0]))
    got = read(folder)
    assert not got.sessions
    assert got.counts.set_aside == {"gold-breaks-schema": 2, "no-gold": 1, "not-json": 1}


def test_a_log_beside_a_screenshot_of_its_name_stays_a_log(tmp_path: Path) -> None:
    rows = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a"}]}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "run.json").write_text(json.dumps(rows))
    (tmp_path / "in" / "run.png").write_bytes(pages.image_bytes(pages.GOLDS[0]))
    assert [s.format for s in read(tmp_path / "in").sessions] == ["chat-rows"]


def test_a_pdf_gives_a_page_for_each_gold_and_one_family(tmp_path: Path) -> None:
    golds = [pages.GOLDS[0], pages.GOLDS[1]]
    got = read(pages.write_pdf(tmp_path / "in", golds), dpi=72)
    assert [s.format for s in got.sessions] == ["pdf-pages"] * 2
    assert len({s.family for s in got.sessions}) == 1
    assert asides(got) == [("no-gold", "page 3")]
    picture = store.opened((tmp_path / "kept" / image_of(got.sessions[0])[7:]).read_bytes())
    assert not isinstance(picture, str)
    assert picture.size == (300, 200)


def test_gold_of_a_pdf_may_name_its_page(tmp_path: Path) -> None:
    golds = [{"page": 2, **pages.GOLDS[1]}, {"page": 7, "text": "x"}]
    got = read(pages.write_pdf(tmp_path / "in", golds))
    assert [s.messages[-1].origins[0].row for s in got.sessions] == ["page 2"]
    assert sorted(reason for reason, _ in asides(got)) == ["no-gold", "no-gold", "no-image"]


def test_a_pdf_that_is_none_and_one_without_gold_are_set_aside(tmp_path: Path) -> None:
    folder = pages.write_pdf(tmp_path / "in", [pages.GOLDS[0]])
    (folder / "deed.pdf").rename(folder / "alone.pdf")
    (folder / "deed.pdf").write_bytes(b"%PDF-1.7\n\x00 nothing behind it")
    got = read(folder)
    assert sorted(reason for reason, _ in asides(got)) == ["broken-image", "no-gold"]


def test_a_page_above_the_limit_is_oversized_before_it_is_unfolded(tmp_path: Path) -> None:
    got = read(pages.write_benchmark(tmp_path / "bench"), max_pixels=1000)
    assert got.counts.set_aside == {"oversized": 3}
    got = read(pages.write_pdf(tmp_path / "in", [pages.GOLDS[0]]), max_pixels=1000)
    assert got.counts.set_aside == {"no-gold": 2, "oversized": 1}


def asked(session: Session) -> str:
    """All words that stand before the answer, the schema of the request among them."""
    last = len(session.messages) - 1
    return " ".join(text for _, text in turns(session.messages[:last], session.context_of(last)))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it is this large."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(9000, 9000), (60000, 60000)])
def test_a_decompression_bomb_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    rows = [pages.benchmark_row(0, pages.GOLDS[0])]
    rows[0]["image"]["bytes"] = bomb(*size)
    got = read(pages.write_benchmark(tmp_path / "bench", rows))
    assert got.counts.set_aside == {"oversized": 1}


def test_a_tiff_of_several_pages_is_no_page(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    first, *rest = (pages.picture(gold) for gold in pages.GOLDS)
    first.save(folder / "deed.tif", save_all=True, append_images=rest)
    (folder / "deed.json").write_text('{"text": "a"}')
    assert read(folder).counts.set_aside == {"several-pages": 1}


@pytest.mark.parametrize("module", ["PIL", "pypdfium2"])
def test_without_the_extra_pages_are_set_aside_and_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    write = pages.write_benchmark if module == "PIL" else pages.write_imagefolder
    folder = write(tmp_path / "in")
    pages.write_pdf(folder, [pages.GOLDS[0]], pages=1)
    monkeypatch.setitem(sys.modules, module, None)
    got = read(folder)
    assert got.counts.set_aside == {"needs-extra": 4 if module == "PIL" else 1}
    assert all("pip install 'misstep[ocr]'" in entry.said for entry in got.set_aside)


def test_another_schema_and_another_instruction(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    rows = [
        {**pages.benchmark_row(n, pages.GOLDS[0]), "assistant": a}
        for n, a in enumerate(['{"total": 12.5}', '{"total": "12.5"}'])
    ]
    folder = pages.write_benchmark(tmp_path / "bench", rows)
    got = read(folder, schema=str(tmp_path / "schema.json"))
    assert [s.messages[-1].text for s in got.sessions] == ['{"total": 12.5}']
    assert asked(got.sessions[0]).count('"total":{"type":"number"}') == 1
    silent = read(folder, schema=str(tmp_path / "schema.json"), instruction="")
    assert [m.role for m in silent.sessions[0].messages] == ["user", "assistant"]
    assert not asked(silent.sessions[0]).strip()


def test_a_schema_that_cannot_be_used_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "nothing"}')
    folder = pages.write_benchmark(tmp_path / "bench")
    with pytest.raises(InputError, match="no JSON Schema that can be used"):
        read(folder, schema=str(tmp_path / "schema.json"))
    with pytest.raises(InputError, match="give a file with the JSON Schema that answers must meet"):
        read(folder, schema=str(tmp_path / "absent.json"))


def test_workers_read_pages_as_one_process_does(tmp_path: Path) -> None:
    from misstep.config import RunConfig
    from misstep.pipeline.gather import gathered

    folder = pages.write_imagefolder(tmp_path / "folder")
    pages.write_benchmark(folder / "bench")
    config = RunConfig(ingest=IngestConfig(images=str(tmp_path / "kept"), workers=2))
    found = []
    for unit in (None, 1000):
        with gathered([folder], replace(config), wants=("session",), unit=unit) as got:
            found.append(sorted(data for data, _ in got.ledger.kept("session")))
    assert len(found[0]) == 6
    assert found[0] == found[1]


def test_a_name_with_backslashes_is_the_image_that_it_names(tmp_path: Path) -> None:
    rows = [{"file_name": name, "text": "a"} for name in ("images\\0.png", "./images//1.png")]
    got = read(pages.write_imagefolder(tmp_path / "folder", rows))
    assert len(got.sessions) == 2
    assert asides(got) == [("no-gold", "images/2.png")]


def test_an_image_or_pdf_that_the_user_left_out_is_not_read(tmp_path: Path) -> None:
    folder = pages.write_imagefolder(tmp_path / "in" / "table")
    beside = folder.parent / "beside"
    beside.mkdir()
    for name in ("x", "y"):
        (beside / f"{name}.png").write_bytes(pages.image_bytes(pages.GOLDS[0]))
        (beside / f"{name}.json").write_text(json.dumps(pages.GOLDS[int(name == "y")]))
    pages.write_pdf(folder.parent / "deeds", list(pages.GOLDS))
    (folder.parent / ".misstepignore").write_text("table/images/1.png\n*.pdf\n")
    got = ingest([folder.parent], config=IngestConfig(exclude=("x.png",)))
    reasons = {(entry.origin.file, entry.reason) for entry in got.set_aside}
    assert reasons == {
        ("beside/x.json", "excluded"),
        ("deeds/deed.json", "excluded"),
        ("table/metadata.jsonl", "excluded"),
    }
    assert [s.format for s in got.sessions].count("page-pairs") == 1
    assert [s.format for s in got.sessions].count("imagefolder") == 2
    assert got.counts.ignored["excluded"] == 4  # the ignore file is one of them


def test_an_image_left_out_stays_out_where_its_gold_alone_is_given(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(pages.image_bytes(pages.GOLDS[0]))
    (tmp_path / "x.json").write_text(json.dumps(pages.GOLDS[0]))
    got = ingest([tmp_path / "x.json"], config=IngestConfig(exclude=("*.png",)))
    assert [entry.reason for entry in got.set_aside] == ["excluded"]
    assert len(ingest([tmp_path / "x.json"]).sessions) == 1


def test_an_image_taken_back_in_is_read(tmp_path: Path) -> None:
    folder = pages.write_imagefolder(tmp_path / "folder")
    exclude = ("*.png", "!images/0.png")
    got = ingest([folder], config=IngestConfig(exclude=exclude))
    assert len(got.sessions) == 1
    assert asides(got) == [("excluded", None)] * 2


def write_files(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def aside(got: Ingested) -> dict[str, tuple[str, str]]:
    return {e.origin.row or e.origin.file: (e.reason, e.said) for e in got.set_aside}


PAGE, GOLD = pages.image_bytes(pages.GOLDS[0]), pages.gold_text(pages.GOLDS[0])


@pytest.mark.parametrize("names", [("a.PNG", "a.json"), ("a.Png", "a.json"), ("a.png", "a.JSON")])
def test_a_page_is_read_once_whatever_the_case_of_the_endings(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    got = read(write_files(tmp_path / "in", dict(zip(names, (PAGE, GOLD), strict=True))))
    assert len(got.sessions) == 1
    assert not got.set_aside
    assert got.counts.ignored == {"page": 1}


@pytest.mark.parametrize("name", ["a.pdf", "a.PDF", "a.Pdf"])
def test_a_pdf_beside_gold_is_read_whatever_the_case_of_its_ending(
    tmp_path: Path, name: str
) -> None:
    folder = pages.write_pdf(tmp_path / "in", [pages.GOLDS[0]], pages=1)
    (folder / "deed.pdf").rename(folder / name)
    (folder / "deed.json").rename(folder / "a.JSON")
    got = read(folder)
    assert len(got.sessions) == 1
    assert not got.set_aside


@pytest.mark.parametrize("gold", ["", " \n"])
@pytest.mark.parametrize("page", ["a.png", "a.pdf"])
def test_a_page_whose_gold_file_is_empty_is_set_aside(tmp_path: Path, gold: str, page: str) -> None:
    got = read(write_files(tmp_path / "in", {page: PAGE, "a.json": gold}))
    assert aside(got) == {page: ("empty-gold", "a.json beside it is empty")}


def test_two_images_of_one_gold_are_one_page_and_one_that_is_told(tmp_path: Path) -> None:
    files = {"a.png": PAGE, "a.jpg": pages.image_bytes(pages.GOLDS[1], "JPEG"), "a.json": GOLD}
    got = read(write_files(tmp_path / "in", files))
    assert len(got.sessions) == 1
    assert aside(got) == {"a.jpg": ("no-gold", "a.json is read with a.png, not with this one")}


@pytest.mark.parametrize(
    ("gold", "told"),
    [
        ("a.txt", '; a.txt is not read as gold: write its text as {"text": "…"} into a.json'),
        ("a.md", '; a.md is not read as gold: write its text as {"text": "…"} into a.json'),
        ("a.gt.txt", '; a.gt.txt is not read as gold: write its text as {"text": "…"} into a.json'),
        ("a.png.json", "; a.png.json is not read as gold: call it a.json"),
        ("b.json", " (docs/ocr.md)"),
    ],
)
def test_an_image_without_gold_is_told_what_was_expected_and_what_to_do(
    tmp_path: Path, gold: str, told: str
) -> None:
    got = read(write_files(tmp_path / "in", {"a.png": PAGE, gold: GOLD}))
    expected = (
        "no gold tells what stands on it: expected a.json beside it, or a row of metadata.jsonl, "
        ".csv or .parquet in its folder or above"
    )
    assert aside(got)["a.png"] == ("no-gold", expected + told)


def test_an_image_of_a_format_that_is_not_read_is_told_to_be_converted(tmp_path: Path) -> None:
    got = read(
        write_files(tmp_path / "in", {"a.HEIC": b"\x00\x00\x00\x18ftypheic", "a.json": GOLD})
    )
    said = "an image in a format that is not read (.heic); convert it to PNG or JPEG"
    assert aside(got)["a.HEIC"] == ("broken-image", said)


def test_metadata_names_images_in_whatever_depth_and_none_above_what_was_given(
    tmp_path: Path,
) -> None:
    rows = json.dumps({"file_name": "1/2/3/4/5/a.png", "text": "x"})
    files = {"1/2/3/4/5/a.png": PAGE, "metadata.jsonl": rows}
    folder = write_files(tmp_path / "in", files)
    got = read(folder)
    assert len(got.sessions) == 1
    assert not got.set_aside
    assert aside(read(folder / "1/2/3/4/5"))["a.png"][0] == "no-gold"


@pytest.mark.parametrize(
    ("there", "named"),
    [("pa\u0301gina.png", "p\u00e1gina.png"), ("p\u00e1gina.png", "pa\u0301gina.png"),
     ("a.PNG", "a.png"), ("a\u0301/b.PNG", "\u00e1/b.png")],
)  # fmt: skip
def test_a_row_names_its_image_however_accents_are_composed(
    tmp_path: Path, there: str, named: str
) -> None:
    row = json.dumps({"file_name": named, "text": "x"})
    got = read(write_files(tmp_path / "in", {there: PAGE, "metadata.jsonl": row}))
    assert len(got.sessions) == 1
    assert not got.set_aside


def test_a_row_without_gold_is_told_which_columns_it_has_and_which_were_expected(
    tmp_path: Path,
) -> None:
    rows = [{"file_name": "images/0.png", "caption": "x"}, {"file_name": "images/1.png", "text": 5}]
    got = read(pages.write_imagefolder(tmp_path / "in", rows))
    expected = (
        "no column with gold: expected text in assistant, text, transcription, header, footer, "
        "margin; the row has "
    )
    assert [(e.reason, e.said) for e in got.set_aside if e.origin.line] == [
        ("empty-gold", f"{expected}caption (a string)"),
        ("empty-gold", f"{expected}text (a number)"),
    ]


def test_metadata_that_names_images_otherwise_is_read_or_told_of_row_by_row(tmp_path: Path) -> None:
    rows = [{"image": "images/0.png", "text": "x"}, {"image": "images/1.png", "text": "y"}]
    got = read(pages.write_imagefolder(tmp_path / "in", rows))
    assert [s.format for s in got.sessions] == ["imagefolder"] * 2
    assert asides(got) == [("no-gold", "images/2.png")]
    got = read(pages.write_imagefolder(tmp_path / "other", [{"path": "images/0.png", "text": "x"}]))
    said = "the row names no image: expected its path in file_name; the row has path, text"
    assert ("no-image", said) in [(e.reason, e.said) for e in got.set_aside]
    assert got.counts.set_aside == {"no-image": 1, "no-gold": 3}


def test_metadata_in_another_encoding_is_told_as_such(tmp_path: Path) -> None:
    csv = "file_name,text\na.png,olá\n".encode("latin-1")
    got = read(write_files(tmp_path / "in", {"a.png": PAGE, "metadata.csv": csv}))
    reason, said = aside(got)["metadata.csv"]
    assert reason == "not-csv"
    assert "'utf-8' codec can't decode" in said


@pytest.mark.parametrize("column", ["text", "transcription"])
@pytest.mark.parametrize("bare", [False, True])
def test_a_table_of_images_and_plain_text_is_read(tmp_path: Path, column: str, bare: bool) -> None:
    rows = [{"image": PAGE if bare else {"bytes": PAGE, "path": None}, column: "ovos"}]
    got = read(pages.write_benchmark(tmp_path / "in", rows))
    assert [(s.format, s.messages[-1].text) for s in got.sessions] == [
        ("page-table", '{"text":"ovos"}')
    ]


def test_a_table_of_questions_about_images_is_no_table_of_pages(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": PAGE, "path": None}, "question": "what?", "text": "a"}]
    got = read(pages.write_benchmark(tmp_path / "in", rows))
    assert got.counts.set_aside == {"unknown-format": 1}


def test_a_page_number_of_a_pdf_may_be_text_and_is_never_guessed(tmp_path: Path) -> None:
    golds = [{"page": "2", **pages.GOLDS[0]}, {"page": "ii", "text": "x"}, {"page": 0, "text": "x"}]
    got = read(pages.write_pdf(tmp_path / "in", golds))
    assert [s.messages[-1].origins[0].row for s in got.sessions] == ["page 2"]
    told = {(e.reason, e.said) for e in got.set_aside if e.reason != "no-gold"}
    assert told == {
        ("no-image", "page: expected a number from 1, got 'ii'"),
        ("no-image", "page 0: the PDF has pages 1 to 3"),
    }


def test_gold_of_another_form_is_told_which_one_is_expected(tmp_path: Path) -> None:
    files = {"a.png": PAGE, "a.json": '"plain"', "b.png": PAGE, "b.json": '["one", "two"]'}
    files |= {"c.png": PAGE, "c.json": '{"content": "x"}'}
    got = read(write_files(tmp_path / "in", files))
    assert got.counts.set_aside == {"gold-not-json": 3, "gold-breaks-schema": 1}
    said = {e.origin.file: e.said for e in got.set_aside}
    told = 'gold: expected an object, got a string; plain text is written {"text": "…"}'
    assert (said["a.json"], said["b.json"]) == (told, told)
    fields = "its fields are header, text, footer, margin, and --schema FILE gives another one"
    assert said["c.json"].endswith(fields)
