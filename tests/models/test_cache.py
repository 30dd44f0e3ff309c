import json
from pathlib import Path

import pytest

from misstep.errors import ModelError
from misstep.models import cache


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path / "c"))
    assert cache.cache_dir() == tmp_path / "c"


def test_the_cache_lies_below_the_home_folder_by_default(monkeypatch):
    monkeypatch.delenv("MISSTEP_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.cache_dir() == Path.home() / ".cache" / "misstep"


def test_equal_files_have_equal_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10)
    (tmp_path / "b").write_bytes(b"x" * 10)
    (tmp_path / "c").write_bytes(b"x" * 11)
    a, b, c = (cache.file_hash(tmp_path / n) for n in "abc")
    assert a == b != c


def test_a_folder_hash_sees_the_weights_and_nothing_else(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 3_000_000)
    first = cache.folder_hash(tmp_path)
    (tmp_path / "README.md").write_text("hi")
    assert cache.folder_hash(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 2_999_999 + b"\1")
    assert cache.folder_hash(tmp_path) != first


def test_a_settings_hash_sees_what_changes_the_answers_of_the_same_weights(tmp_path):
    config = {"rope_theta": 1e4, "_name_or_path": "/a", "transformers_version": "5.0"}
    path = tmp_path / "config.json"

    def hashed(**changes):
        path.write_text(json.dumps({**config, **changes}))
        return cache.settings_hash(tmp_path)

    first = hashed()
    assert hashed(_name_or_path="/b", transformers_version="5.23") == first
    assert hashed(rope_theta=5e5) != first
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 3]}')
    assert hashed() != first
    path.write_text("{")
    assert len(cache.settings_hash(tmp_path)) == 16


def test_a_finished_conversion_is_used_again(monkeypatch, tmp_path):
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path))
    runs = []

    def convert(gguf, target):
        runs.append(gguf)
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(cache, "_convert", convert)
    first = cache.converted(Path("m.gguf"), "abc")
    assert cache.converted(Path("m.gguf"), "abc") == first
    assert (first.name, len(runs)) == ("m-abc-v1", 1)


def test_an_interrupted_conversion_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path))

    def convert(gguf, target):
        (target / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_convert", convert)
    with pytest.raises(KeyboardInterrupt):
        cache.converted(Path("m.gguf"), "abc")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_full_disk_names_the_cache_and_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path))

    def convert(gguf, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_convert", convert)
    with pytest.raises(ModelError) as caught:
        cache.converted(Path("m.gguf"), "abc")
    assert str(caught.value) == (
        f"m.gguf: cannot be converted into {tmp_path}/models ([Errno 28] No space left on device); "
        "set MISSTEP_CACHE to a folder with room for the unpacked model"
    )


def test_another_process_that_was_first_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path))
    theirs = tmp_path / "models" / "m-abc-v1"

    def convert(gguf, target):
        theirs.mkdir()
        (theirs / "config.json").write_text("theirs")
        (target / "config.json").write_text("ours")

    monkeypatch.setattr(cache, "_convert", convert)
    assert (cache.converted(Path("m.gguf"), "abc") / "config.json").read_text() == "theirs"


def test_a_file_that_is_no_gguf_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("torch", reason="needs the train extra")
    monkeypatch.setenv("MISSTEP_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "m.gguf"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"m\.gguf: cannot be read as a model"):
        cache.converted(path, "abc")
    assert list((tmp_path / "cache" / "models").iterdir()) == []
