"""Logs behind URLs and patterns: the same findings, ids and offsets as from a local copy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from misstep import api
from misstep.cli import main
from misstep.config import IngestConfig, MineConfig, RunConfig
from misstep.errors import InputError
from misstep.ingest import discover, remote
from misstep.pipeline import gather
from misstep.pipeline.gather import gathered
from samples import LOGS

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")
FAMILIES = ("openai-chat", "claude-code", "opencode", "chat-rows", "har", "xlam")


def found(*paths, workers=1, **config):
    """Sessions, findings, set-aside records and figures, but for the time they took."""
    chosen = RunConfig(ingest=IngestConfig(workers=workers, **config))
    with gathered(
        [Path(p) for p in paths], chosen, wants=("rows", "session"), set_aside=True
    ) as got:
        rows = b"".join(rows for rows, _ in got.ledger.kept("rows"))
        return got.summary, rows, list(got.ledger.kept("session")), list(got.ledger.asides())


@pytest.fixture
def logs(tmp_path):
    """A folder with logs of several formats, an archive, a compressed file and what is no log."""
    folder = tmp_path / "logs"
    for name in FAMILIES:
        shutil.copytree(LOGS / name, folder / "deep" / name)
    shutil.make_archive(str(folder / "old"), "zip", LOGS / "anthropic-messages")
    shutil.make_archive(str(folder / "older"), "gztar", LOGS / "openai-responses")
    (folder / "noise.bin").write_bytes(bytes(range(256)) * 50)
    (folder / ".misstepignore").write_text("*.md\n*.py\n")
    (folder / "deep" / ".git").mkdir()
    (folder / "deep" / ".git" / "x.json").write_text("{}")
    return folder


@pytest.fixture
def memory(logs):
    """The same folder in fsspec's memory."""
    files = fsspec.filesystem("memory")
    for file in logs.rglob("*"):
        if file.is_file():
            files.pipe_file(f"/bucket/{file.relative_to(logs).as_posix()}", file.read_bytes())
    yield "memory://bucket"
    files.store.clear()


@pytest.fixture(scope="module")
def server():
    """A local S3 server; the credentials are by the usual environment variables."""
    moto = pytest.importorskip("moto.server", reason="moto[s3] with flask is not installed")
    s3fs = pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
    s3fs.S3FileSystem.clear_instance_cache()  # another test's server may be remembered
    running = moto.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAQWERTYUIOPASDFGH")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "t0psecret/t0psecret/t0psecret/t0psecret0")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, logs):
    """The folder in a bucket."""
    import s3fs

    files = s3fs.S3FileSystem()
    files.mkdir("logs-of-agents")
    files.put(str(logs) + "/", "logs-of-agents/run 1/", recursive=True)
    yield "s3://logs-of-agents/run 1"
    files.rm("logs-of-agents", recursive=True)


def test_a_url_reads_to_the_same_sessions_findings_and_counts_as_its_copy(logs, memory):
    local = found(logs)
    assert local[0]["sessions"] > 20
    assert found(memory) == local
    assert found(memory + "/") == local


def test_units_and_stretches_of_a_url_come_out_like_those_of_its_copy(logs, memory, monkeypatch):
    local = found(logs)
    monkeypatch.setattr(remote, "BLOCK", 777)
    remote._block.cache_clear()
    for limit in ("SMALL", "STRETCH", "LOOK"):
        monkeypatch.setattr(gather, limit, 3000)
    assert found(memory) == local
    remote._block.cache_clear()


def test_a_bucket_reads_to_the_same_sessions_findings_and_counts_as_its_copy(logs, bucket):
    assert found(bucket) == found(logs)


def test_workers_read_a_bucket_with_the_credentials_of_the_environment(bucket, logs, tmp_path):
    big = (logs / "deep/openai-chat/pairs.jsonl").read_text()
    import s3fs

    s3fs.S3FileSystem().pipe_file(f"{bucket}/big.jsonl", big.encode() * 2)
    (logs / "big.jsonl").write_text(big * 2)
    args = [
        sys.executable,
        "-c",
        "from misstep.pipeline import gather; gather.SMALL = 0\n"
        "from misstep.cli import main; main()",
    ]
    out = {}
    for name, place in (("remote", bucket), ("local", str(logs))):
        path = tmp_path / f"{name}.jsonl"
        command = [*args, "scan", place, "--workers", "2", "--json", "--findings", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        out[name] = (path.read_bytes(), {**json.loads(done.stdout), "seconds": 0})
    assert out["remote"] == out["local"]


def test_pairs_from_a_url_are_those_from_its_copy(logs, memory, tmp_path):
    made = {}
    config = RunConfig(ingest=IngestConfig(workers=1), mine=MineConfig(off_policy=True))
    for name, place in (("here", logs / "deep"), ("there", Path(f"{memory}/deep"))):
        api.mine([place], tmp_path / name, config, resample=False)
        rows = sorted((tmp_path / name).rglob("*.jsonl"))
        made[name] = {path.name: path.read_bytes() for path in rows}
    assert made["there"] == made["here"]
    assert len(made["here"]["train.jsonl"].splitlines()) > 3


def test_a_file_behind_a_url_goes_by_its_url(memory):
    (one,) = discover([Path(f"{memory}/deep/openai-chat/pairs.jsonl")])
    assert one.name == "memory://bucket/deep/openai-chat/pairs.jsonl"
    assert one.source.open().readline().startswith(b"{")


@pytest.mark.parametrize("pattern", ["deep/*/*.jsonl", "deep/**/*.jsonl", "deep/c*"])
def test_a_pattern_finds_the_same_files_here_and_behind_a_url(logs, memory, pattern):
    here = [(f.label, f.size) for f in discover([logs / pattern])]
    there = [(f.label, f.size) for f in discover([Path(f"{memory}/{pattern}")])]
    assert here == there
    assert len(here) > 3


def test_what_is_not_there_is_told_without_a_traceback(memory, server):
    for url in ("memory://bucket/none", "s3://no-such-bucket/x", f"{memory}/*.nothing"):
        with pytest.raises(InputError, match=r"no such file or folder|cannot be listed"):
            list(discover([Path(url)]))


def test_the_web_is_read_only_where_it_was_asked_for(server, bucket):
    url = f"{server}/logs-of-agents/run%201/deep/openai-chat/pairs.jsonl?X-Amz-Signature=abcdef"
    refused = CliRunner().invoke(main, ["scan", url, "--quiet"])
    assert refused.exit_code == 2
    assert "nothing is fetched from the web unless you ask for it; add --allow-https" in (
        refused.output
    )
    assert "abcdef" not in refused.output
    pytest.importorskip("aiohttp")
    asked = CliRunner().invoke(main, ["scan", url, "--quiet", "--allow-https", "--json"])
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout)["sessions"] > 5


def test_a_password_in_a_url_is_refused_and_never_printed(memory):
    said = CliRunner().invoke(main, ["scan", "s3://AKIAKEY:s3cr3t@bucket/logs", "--quiet"])
    assert said.exit_code == 2
    assert "s3cr3t" not in said.output
    assert "AKIAKEY" not in said.output


def test_a_service_that_refuses_is_told_without_its_credentials(server, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    remote.filesystem.cache_clear()
    said = CliRunner().invoke(main, ["scan", "s3://logs-of-agents/x", "--quiet"])
    s3fs.S3FileSystem.clear_instance_cache()
    remote.filesystem.cache_clear()
    assert said.exit_code == 2
    assert said.output.startswith("misstep: s3://logs-of-agents/x: cannot be listed (")
    assert "AKIA" not in said.output
    assert "t0psecret" not in said.output


def test_an_object_that_changes_while_it_is_read_is_set_aside(memory):
    url = f"{memory}/deep/openai-chat/pairs.jsonl"
    (one,) = discover([Path(url)])
    remote._block.cache_clear()
    fsspec.filesystem("memory").pipe_file("/bucket/deep/openai-chat/pairs.jsonl", b"{}")
    with pytest.raises(OSError, match="changed while it was read"):
        one.source.open().read()
