"""Web answers that tell no size or no stamp, and URLs with more in them than may be printed."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from misstep.errors import InputError
from misstep.ingest import discover, remote, shown, url_of

BODY = b'{"messages": []}\n' * 700


@pytest.fixture
def web():
    """A server whose answers end where the connection does."""
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(BODY)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a.jsonl"
    server.shutdown()
    server.server_close()


def test_an_answer_without_a_size_is_read_whole(web, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK", 1000)
    (one,) = discover([Path(web)], web=True)
    assert (one.size, one.fault) == (len(BODY), None)
    assert one.source.open().read() == BODY
    (again,) = discover([Path(web)], web=True)
    assert again.remote == one.remote


def test_an_answer_without_a_size_that_is_too_large_is_unreadable(web, monkeypatch):
    monkeypatch.setattr(remote, "WHOLE", 1000)
    (one,) = discover([Path(web)], web=True)
    assert one.fault is not None
    assert one.fault.reason == "unreadable"
    assert "larger than 1000 bytes" in one.fault.said


@pytest.mark.parametrize("name", ["Last-Modified", "Content-MD5", "last_modified", "ETag"])
def test_a_stamp_is_taken_from_what_the_service_tells(name):
    assert remote._remote("https://h/a", {"size": 1, name: "then"}).stamp == "then"


def test_without_a_stamp_a_file_counts_as_changed():
    first, second = (remote._remote("https://h/a", {"size": 1}) for _ in range(2))
    assert first.stamp != second.stamp


@pytest.mark.parametrize(
    "rest",
    ["me@h/x", "me:word@h/x", "me:pa/ss@h/x", "me:pa?ss@h/x", "me:pa#s@h/x", "me:12/ss@h/x"],
)
def test_a_url_with_a_password_is_refused(rest):
    with pytest.raises(InputError, match="a name or a password") as told:
        url_of(Path(f"https://{rest}"))
    assert "ss" not in str(told.value).replace("password", "")


@pytest.mark.parametrize(
    "rest", ["h/mail/a@b.jsonl", "h:80/x", "h:80/x?to=a@b", "[::1]:80/x", "datasets/o/n@main/x"]
)
def test_a_url_without_one_is_not(rest):
    assert url_of(Path(f"https://{rest}")) == f"https://{rest}"


def test_a_fragment_is_not_printed():
    assert shown("https://h/a.jsonl#token=1?b") == "https://h/a.jsonl"
