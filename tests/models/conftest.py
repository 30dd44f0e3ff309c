import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    pytest.importorskip("torch", reason="needs the train extra")
    from tiny import build_tiny

    return build_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tiny(tiny_folder):
    from misstep.models import load

    return load(str(tiny_folder), dtype="float32")


@pytest.fixture(scope="session")
def native(tmp_path_factory):
    pytest.importorskip("torch", reason="needs the train extra")
    from misstep.models import load
    from tiny import NATIVE, build_tiny

    folder = build_tiny(tmp_path_factory.mktemp("tiny") / "native", kind="qwen3", template=NATIVE)
    return load(str(folder), dtype="float32")


@pytest.fixture(scope="session")
def smollm2():
    pytest.importorskip("torch", reason="needs the train extra")
    from misstep.errors import ExtraMissing
    from misstep.models import load

    try:
        return load("smollm2")
    except ExtraMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """A tiny model is slower on several threads, much slower on a busy machine."""
    torch = pytest.importorskip("torch", reason="needs the train extra")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
