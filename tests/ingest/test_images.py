"""Images that stand in the logs themselves: every provider's spelling gives one name, and bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ocr_pages as pages
from misstep import store
from misstep.config import IngestConfig
from misstep.ingest import Ingested, ingest
from misstep.ingest.images import decoded, inline

PAGE = pages.image_bytes(pages.GOLDS[0])
CODED = base64.b64encode(PAGE).decode()
NAME = f"sha256:{hashlib.sha256(PAGE).hexdigest()}"
URI = f"data:image/png;base64,{CODED}"
ANSWER = pages.gold_text(pages.GOLDS[0])


def openai(image: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": "Read it."}, {"type": "image_url", "image_url": image}]
    return {
        "request": {"model": "m", "messages": [{"role": "user", "content": content}]},
        "response": {
            "choices": [
                {"finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
            ]
        },
    }


def rows(image: Any) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": image}]},
            {"role": "assistant", "content": ANSWER},
        ]
    }


def responses(_: Any) -> dict[str, Any]:
    content = [{"type": "input_image", "image_url": URI}]
    return {
        "request": {"model": "m", "input": [{"role": "user", "content": content}]},
        "response": {
            "object": "response",
            "status": "completed",
            "output": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": ANSWER}],
                }
            ],
        },
    }


def anthropic(_: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": CODED}
    return {
        "request": {
            "model": "claude",
            "max_tokens": 500,
            "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}],
        },
        "response": {
            "type": "message",
            "role": "assistant",
            "stop_reason": "end_turn",
            "content": [{"type": "text", "text": ANSWER}],
        },
    }


def bedrock(_: Any) -> dict[str, Any]:
    image = {"image": {"format": "png", "source": {"bytes": CODED}}}
    return {
        "request": {
            "messages": [{"role": "user", "content": [{"text": "Read it."}, image]}],
            "inferenceConfig": {"maxTokens": 500},
        },
        "response": {
            "output": {"message": {"role": "assistant", "content": [{"text": ANSWER}]}},
            "stopReason": "end_turn",
        },
    }


def gemini(_: Any) -> dict[str, Any]:
    part = {"inlineData": {"mimeType": "image/png", "data": CODED}}
    return {
        "request": {"contents": [{"role": "user", "parts": [{"text": "Read it."}, part]}]},
        "response": {
            "candidates": [
                {"finishReason": "STOP", "content": {"role": "model", "parts": [{"text": ANSWER}]}}
            ]
        },
    }


def read(folder: Path, record: dict[str, Any], kept: Path | None = None) -> Ingested:
    folder.mkdir(exist_ok=True)
    (folder / "log.jsonl").write_text(json.dumps(record) + "\n")
    return ingest([folder], config=IngestConfig(images=None if kept is None else str(kept)))


def images(got: Ingested) -> list[str | None]:
    (session,) = got.sessions
    return [p.text for m in session.messages for p in m.parts if p.kind == "image"]


@pytest.mark.parametrize("make", [openai, rows, responses, anthropic, bedrock, gemini])
def test_one_image_has_one_name_in_every_log_and_its_bytes_are_kept(
    tmp_path: Path, make: Any
) -> None:
    got = read(tmp_path / "logs", make({"url": URI}), tmp_path / "kept")
    assert images(got) == [NAME]
    assert store.image_path(tmp_path / "kept", NAME).read_bytes() == PAGE
    assert (got.counts.images, got.counts.broken_images) == (1, 0)


@pytest.mark.parametrize("make", [openai, rows, responses, anthropic, bedrock, gemini])
def test_without_a_folder_the_name_and_the_id_are_the_same_and_no_byte_is_kept(
    tmp_path: Path, make: Any
) -> None:
    kept = read(tmp_path / "logs", make({"url": URI}), tmp_path / "kept")
    dropped = read(tmp_path / "logs", make({"url": URI}))
    assert [s.id for s in kept.sessions] == [s.id for s in dropped.sessions]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", "logs"]


def test_an_address_stays_an_address_and_is_not_counted(tmp_path: Path) -> None:
    got = read(tmp_path / "logs", rows({"url": "https://example.org/a.png"}), tmp_path / "kept")
    assert images(got) == ["https://example.org/a.png"]
    assert got.counts.images == 0
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("data", ["%%%", "", "iVBORw0KGgo!"])
def test_base64_that_is_none_is_still_an_image_with_a_name_and_counted(
    tmp_path: Path, data: str
) -> None:
    record = rows({"url": f"data:image/png;base64,{data}"})
    got = read(tmp_path / "logs", record, tmp_path / "kept")
    (name,) = images(got)
    assert name is not None
    assert name.startswith("blake2b:")
    assert (got.counts.images, got.counts.broken_images) == (1, 1)


def test_a_document_and_a_sound_are_no_images() -> None:
    pdf = base64.b64encode(b"%PDF-1.7 and so on").decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": pdf}
    assert inline({"type": "document", "source": source}) is None
    assert inline({"type": "input_audio", "input_audio": {"data": pdf, "format": "wav"}}) is None


def test_base64_in_lines_without_padding_and_url_safe_is_read() -> None:
    lines = "\n".join(CODED[i : i + 76] for i in range(0, len(CODED), 76))
    assert decoded(lines) == decoded(CODED.rstrip("=")) == PAGE
    assert decoded(base64.urlsafe_b64encode(PAGE).decode()) == PAGE


@given(st.binary(min_size=1))
def test_what_was_coded_is_decoded(data: bytes) -> None:
    assert decoded(base64.b64encode(data).decode()) == data


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    inline({"data": text, "media_type": "image/png"})
    inline(f"data:image/png;base64,{text}")


def test_an_ocr_log_is_judged_and_its_loop_found(tmp_path: Path) -> None:
    from misstep.config import RunConfig
    from misstep.pipeline.scan import scan

    record = openai({"url": URI})
    choice = record["response"]["choices"][0]
    choice["message"]["content"] = '{"text": "' + "linha de continuação " * 60
    choice["finish_reason"] = "length"
    read(tmp_path / "logs", record)
    found = scan([tmp_path / "logs"], RunConfig())
    assert "REP_LOOP" in {finding.code for finding in found.findings}
    assert found.summary["images"] == {"inline": 1, "broken": 0}
