"""A log format from another package: the example of the page, and plug-ins that misbehave."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from misstep.config import IngestConfig
from misstep.errors import SetupError
from misstep.ingest import Format, ingest, plugins
from misstep.types import Session
from reading import balances, lines

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-format.md"
ROW = {"turns": [{"who": "user", "said": "hi"}, {"who": "assistant", "said": "yes"}]}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The page's example as an installed package: its module and its entry point."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S)[1]
    (tmp_path / "acme_logs.py").write_text(code)
    info = tmp_path / "acme_logs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-logs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[misstep.formats]\nacme = acme_logs:FORMAT\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(lines(ROW, {"turns": 1}, ROW | {"n": 2}))
    return tmp_path


def misstep(package: Path, *words: str) -> str:
    start = "from misstep.__main__ import main; main()"
    code = f"import sys; sys.path.insert(0, {str(package)!r}); {start}"
    run = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return run.stdout


def test_the_example_of_the_page_is_short():
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S)[1]
    said = [row for row in code.splitlines() if row.strip()]
    assert len(said) <= 26


def test_a_format_of_an_installed_package_is_listed_and_read(package: Path):
    assert re.search(r"^acme\b.*Acme's chat logs", misstep(package, "formats"), re.M)
    said = misstep(package, "scan", str(package / "logs"), "--json")
    assert '"acme"' in said
    assert '"bad-message": 1' in said


def broken(**parts) -> Format:
    class Reader:
        def __init__(self, tally):
            self.tally = tally

        def read(self, record):
            if parts.get("read"):
                raise ValueError("oh")

        def close_file(self):
            if parts.get("close"):
                raise ValueError("oh")

        def finish(self) -> list[Session]:
            if parts.get("finish"):
                self.tally.use(2)
                raise ValueError("oh")
            return []

    def sniff(peek):
        if parts.get("sniff"):
            raise KeyError("x")
        return 1.0

    return Format(name="bad", about="", unit="line", sniff=sniff, reader=Reader, keeps_tools=False)


@pytest.mark.parametrize(
    ("parts", "ignored", "aside"),
    [
        ({"read": True}, {}, {"plug-in-error": 2}),
        ({"close": True}, {"unaccounted": 2}, {}),
        ({}, {"unaccounted": 2}, {}),
        ({"finish": True}, {"plug-in-error": 2}, {}),
        ({"sniff": True}, {}, {"unknown-format": 1}),
    ],
)
def test_what_a_plug_in_throws_or_forgets_is_counted(tmp_path, monkeypatch, parts, ignored, aside):
    (tmp_path / "a.jsonl").write_bytes(lines({"x": 1}, {"x": 2}))
    known = plugins.guarded(broken(**parts))
    monkeypatch.setattr(plugins, "plugged_formats", lambda: (known,))
    got = ingest([tmp_path], config=IngestConfig())
    balances(got)
    assert (got.counts.ignored, got.counts.set_aside) == (ignored, aside)


class Point:
    name, value = "acme", "acme:FORMAT"

    def __init__(self, loaded):
        self.loaded = loaded

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        (
            ImportError("no x"),
            "plug-in 'acme' (acme:FORMAT): cannot be loaded: ImportError('no x'); "
            "mend or uninstall it",
        ),
        (3, "plug-in 'acme' (acme:FORMAT): expected a misstep.ingest.Format, got int"),
    ],
)
def test_a_plug_in_that_cannot_be_loaded_is_a_clear_error(monkeypatch, loaded, said):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Point(loaded)])
    plugins.plugged_formats.cache_clear()
    with pytest.raises(SetupError) as raised:
        plugins.plugged_formats()
    assert str(raised.value) == said
    plugins.plugged_formats.cache_clear()
