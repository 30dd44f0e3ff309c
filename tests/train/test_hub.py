"""Pushing to a hub: a local server stands for it and keeps what it is sent."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytest.importorskip("huggingface_hub", reason="pushing needs the train extra")

from misstep import api, store, train
from misstep.config import load_config
from misstep.errors import InputError, StageError
from tiny import build_tiny

SECRET = "sk-ant-api03-" + "a1B2c3D4" * 11 + "AA"


PLACE = "/data/acme-bank/base-v3"
NOTE = json.dumps(
    {
        "base": PLACE,
        "base_hash": "3f" * 32,
        "sha256": "9c" * 32,
        "seed": 42,
        "rows_sha256": "7d" * 32,
        "continued": "5e" * 32,
    },
    indent=2,
)
OWN = ("rows_sha256", "continued")
"""Hashes of what was learned."""


class Hub(BaseHTTPRequestHandler):
    """The four requests of a commit; what came stands in `server.seen`."""

    def log_message(self, *_):
        pass

    def _take(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length:
            return self.rfile.read(length)
        data = b""
        while self.headers.get("Transfer-Encoding") == "chunked":
            size = int(self.rfile.readline(), 16)
            data += self.rfile.read(size)
            self.rfile.readline()
            if not size:
                break
        return data

    def _give(self, value, code=200):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.seen.append((self.path, b""))
        self._give({"id": "acme/agent", "private": self.server.private, "siblings": []})

    def do_POST(self):
        data = self._take()
        self.server.seen.append((self.path, data))
        if self.path.endswith("/repos/create"):
            code = 409 if self.server.there else 200
            self._give({"url": f"{self.server.address}/acme/agent", "error": "exists"}, code)
        elif "preupload" in self.path:
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(data)["files"]
            ]
            self._give({"files": files})
        elif "commit" in self.path and self.server.broken:
            self._give({"error": "no room"}, 507)
        elif "commit" in self.path:
            url = f"{self.server.address}/acme/agent/commit/1"
            self._give({"commitUrl": url, "commitOid": "1", "success": True})
        else:
            self._give({})


@pytest.fixture
def hub(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), Hub)
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.seen, server.private, server.there, server.broken = [], True, False, False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    # the variable is read when huggingface_hub is imported, by whichever test comes first
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def sent(server):
    """Files of the commit, by name."""
    lines = next(data for path, data in server.seen if "/commit/" in path).splitlines()
    values = [json.loads(line) for line in lines]
    return {
        v["value"]["path"]: base64.b64decode(v["value"]["content"])
        for v in values
        if v["key"] == "file"
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(build_tiny(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture
def run(tmp_path, model):
    """A folder as a finished run leaves it, with what must not leave the machine."""
    adapter = tmp_path / "run" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (adapter / "adapter_config.json").write_text(
        json.dumps({"r": 2, "base_model_name_or_path": PLACE})
    )
    (adapter / "README.md").write_text(f"# Adapter\nkey {SECRET}\nbase /home/jane.doe/models/x\n")
    (adapter / "misstep_adapter.json").write_text(NOTE)
    (adapter / "trained_prompts.json").write_text('{"prompts": ["abc"]}')
    (tmp_path / "run" / "pairs.jsonl").write_text("{}")
    scores = {"verdict": "ship", "adapter": store.weights_digest(adapter)}
    store.write_json(tmp_path / "run" / "scores.json", scores)
    return tmp_path / "run", load_config(None, {"model": model})


def test_adapter_tokenizer_and_card_are_sent_and_nothing_else(hub, run):
    folder, config = run
    lines = api.push(folder, config, repo="acme/agent", public=False, anyway=False)
    files = sent(hub)
    assert files["adapter_model.safetensors"] == b"weights"
    note = json.loads(NOTE)
    assert json.loads(files["misstep_adapter.json"]) == {
        key: "base-v3" if key == "base" else note[key] for key in note if key not in OWN
    }
    named = json.loads(files["adapter_config.json"])["base_model_name_or_path"]
    assert named == "base-v3"
    assert {"README.md", "adapter_config.json", "tokenizer.json", "chat_template.jinja"} <= set(
        files
    )
    assert not {"trained_prompts.json", "pairs.jsonl"} & set(files)
    assert all(any(name in line for line in lines) for name in files)
    assert lines[0] == "acme/agent (private):"
    assert lines[-1].endswith("/acme/agent")
    created = next(json.loads(data) for path, data in hub.seen if path.endswith("/repos/create"))
    assert created.get("private") is True or created.get("visibility") == "private"


def test_no_secret_and_no_user_name_is_sent(hub, run):
    folder, config = run
    api.push(folder, config, repo="acme/agent", public=False, anyway=False)
    everything = b"".join(sent(hub).values())
    assert SECRET.encode() not in everything
    assert b"jane.doe" not in everything
    assert b"hf_xxxx" not in everything


def test_only_public_asks_for_a_public_repository(hub, run):
    folder, config = run
    hub.private = False
    api.push(folder, config, repo="acme/agent", public=True, anyway=False)
    created = next(json.loads(data) for path, data in hub.seen if path.endswith("/repos/create"))
    assert created.get("private") is False or created.get("visibility") == "public"


def test_a_public_repository_that_is_there_is_not_written_to_unasked(hub, run):
    folder, config = run
    hub.there, hub.private = True, False
    with pytest.raises(InputError, match="is there already and is public"):
        api.push(folder, config, repo="acme/agent", public=False, anyway=False)
    assert not any("/commit/" in path for path, _ in hub.seen)


def test_a_private_repository_that_is_there_is_not_called_public(hub, run):
    folder, config = run
    hub.there, hub.private = True, True
    with pytest.raises(InputError, match=r"is private; leave --public out, make it public in its"):
        api.push(folder, config, repo="acme/agent", public=True, anyway=False)
    assert not any("/commit/" in path for path, _ in hub.seen)


@pytest.mark.parametrize(
    ("verdict", "why"),
    [("do-not-ship", "--anyway pushes"), ("nothing-to-train", "nothing to push"), (None, "finish")],
)
def test_a_run_that_should_not_go_does_not_go(hub, run, verdict, why):
    folder, config = run
    (folder / "scores.json").unlink()
    if verdict is not None:
        store.write_json(folder / "scores.json", {"verdict": verdict})
    with pytest.raises(InputError, match=why):
        api.push(folder, config, repo="acme/agent", public=False, anyway=False)
    assert hub.seen == []
    if verdict == "do-not-ship":
        api.push(folder, config, repo="acme/agent", public=False, anyway=True)
        assert sent(hub)


@pytest.mark.parametrize(
    ("measured", "why"), [("ab" * 32, "SHA-256 abababababab"), (None, "does not say")]
)
def test_only_the_adapter_that_the_verdict_is_of_goes(hub, run, measured, why):
    folder, config = run
    store.write_json(folder / "scores.json", {"verdict": "ship", "adapter": measured})
    with pytest.raises(InputError, match=f"{why}.*misstep eval.*--anyway"):
        api.push(folder, config, repo="acme/agent", public=False, anyway=False)
    assert hub.seen == []
    api.push(folder, config, repo="acme/agent", public=False, anyway=True)
    assert sent(hub)


def test_what_the_hub_refuses_is_told(hub, run):
    folder, config = run
    hub.broken = True
    with pytest.raises(StageError, match="the Hub did not take the adapter"):
        api.push(folder, config, repo="acme/agent", public=False, anyway=False)


def test_a_name_that_no_repository_has_is_refused_before_anything():
    from click.testing import CliRunner

    from misstep.cli import main

    words = ["run", "logs", "-o", "out", "--push-to-hub", "https://hub/acme"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert "expected OWNER/NAME" in result.output


def test_an_adapter_that_is_not_there_cannot_be_planned(tmp_path, model):
    with pytest.raises(InputError, match="holds no adapter_model"):
        train.plan_upload(tmp_path, None, repo="acme/agent", public=False)


def test_the_command_pushes_only_what_may_ship(hub, run, model, monkeypatch):
    from click.testing import CliRunner

    from misstep.cli import main

    folder, _ = run
    store.write_json(folder / "scores.json", {"verdict": "do-not-ship"})
    monkeypatch.setattr(api, "run", lambda *_, **__: "do-not-ship", raising=False)
    monkeypatch.setattr(api, "run_text", lambda *_, **__: "the table")
    words = ["run", "logs", "-o", str(folder), "--model", model, "--push-to-hub", "acme/agent"]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 3
    assert "not pushed: the verdict is do-not-ship" in refused.output
    assert hub.seen == []
    pushed = CliRunner().invoke(main, [*words, "--anyway"])
    assert pushed.exit_code == 3
    assert "adapter_model.safetensors" in pushed.output
    assert sent(hub)
