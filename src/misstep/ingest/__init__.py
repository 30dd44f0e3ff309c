"""Reading logs: any folder of agent logs to `Session` values, every record accounted for.

In: paths. Out: `Ingested`, with sessions, what was set aside, and the counts. A new format is one
file and one line in `FORMATS`. Logs are untrusted: nothing in them is run, fetched or trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from misstep.config import IngestConfig
from misstep.ingest import plugins, run
from misstep.ingest.build import linear
from misstep.ingest.deeper import LEVELS, Parting
from misstep.ingest.discover import Found, digest_of, discover
from misstep.ingest.exclude import leaves_out
from misstep.ingest.format import Format, Peek, Record, Tally
from misstep.ingest.formats import (
    agentbench,
    aider,
    anthropic_messages,
    atif,
    autogen,
    bedrock_converse,
    bfcl,
    chat_rows,
    claude_code,
    claude_stream,
    cline,
    codex,
    codex_exec,
    gemini,
    gemini_cli,
    google_adk,
    goose,
    har,
    helicone,
    imagefolder,
    inspect_ai,
    langchain,
    langfuse,
    langsmith,
    litellm,
    mcp,
    mini_swe_agent,
    mlflow,
    openai_agents,
    openai_chat,
    openai_responses,
    opencode,
    openhands,
    openinference,
    openllmetry,
    otel_genai,
    page_pairs,
    page_table,
    pdf_pages,
    pi,
    preference,
    qwen_code,
    sharegpt,
    smolagents,
    swe_agent,
    tau2_bench,
    tau_bench,
    toolbench,
    vcr,
    weave,
    xlam,
)
from misstep.ingest.identity import message_key
from misstep.ingest.order import Place, Places
from misstep.ingest.read import UNKNOWN, Book, UnitReader
from misstep.ingest.recognise import Known, Wrapper
from misstep.ingest.remote import filesystem, printed, shown, spelled, url_of
from misstep.ingest.run import Counts, FormatCount, Ingested, counted, ingest_found
from misstep.ingest.source import DAMAGED
from misstep.ingest.stretches import Span
from misstep.ingest.survey import Looking, Surveyed, numbers, plain_name, survey
from misstep.ingest.tools import offering, read_tools
from misstep.ingest.units import UNIT, Share, Unit, bundled, units
from misstep.types import ToolSpec

__all__ = [
    "DAMAGED",
    "FORMATS",
    "LEVELS",
    "PAGES",
    "UNIT",
    "UNKNOWN",
    "WRAPPERS",
    "Book",
    "Counts",
    "Format",
    "FormatCount",
    "Found",
    "Ingested",
    "Known",
    "Looking",
    "Parting",
    "Peek",
    "Place",
    "Places",
    "Record",
    "Share",
    "Span",
    "Surveyed",
    "Tally",
    "ToolSpec",
    "Unit",
    "UnitReader",
    "all_formats",
    "bundled",
    "counted",
    "digest_of",
    "discover",
    "filesystem",
    "given_tools",
    "ingest",
    "ingest_found",
    "known",
    "leaves_out",
    "linear",
    "message_key",
    "numbers",
    "offering",
    "plain_name",
    "printed",
    "read_tools",
    "shown",
    "spelled",
    "survey",
    "units",
    "url_of",
]

FORMATS: tuple[Format, ...] = (
    qwen_code.FORMAT,
    claude_code.FORMAT,  # early: told fastest, and of all logs these come in the most files
    langfuse.FORMAT,
    langsmith.FORMAT,
    litellm.FORMAT,
    helicone.FORMAT,
    weave.FORMAT,
    langchain.FORMAT,
    openai_chat.FORMAT,
    openai_responses.FORMAT,
    anthropic_messages.FORMAT,
    gemini.FORMAT,
    bedrock_converse.FORMAT,
    claude_stream.FORMAT,
    codex.FORMAT,
    codex_exec.FORMAT,
    gemini_cli.FORMAT,
    pi.FORMAT,
    opencode.FORMAT,
    cline.FORMAT,
    goose.FORMAT,
    aider.FORMAT,
    mlflow.FORMAT,
    openai_agents.FORMAT,
    openinference.FORMAT,
    openllmetry.FORMAT,
    otel_genai.FORMAT,
    tau_bench.FORMAT,
    tau2_bench.FORMAT,
    toolbench.FORMAT,
    agentbench.FORMAT,
    google_adk.FORMAT,
    mcp.FORMAT,
    autogen.FORMAT,
    bfcl.FORMAT,
    inspect_ai.FORMAT,
    mini_swe_agent.FORMAT,
    swe_agent.FORMAT,
    openhands.FORMAT,
    atif.FORMAT,
    smolagents.FORMAT,
    imagefolder.FORMAT,
    page_table.FORMAT,
    page_pairs.FORMAT,
    pdf_pages.FORMAT,
    preference.FORMAT,
    xlam.FORMAT,
    sharegpt.HERMES,
    sharegpt.TOOLACE,
    sharegpt.FORMAT,
    chat_rows.FORMAT,
)

PAGES = tuple(page.FORMAT.name for page in (imagefolder, page_table, page_pairs, pdf_pages))
"""Formats whose logged answers are gold: a person's transcription, not a model's."""

WRAPPERS: tuple[Wrapper, ...] = (har.WRAPPER, vcr.WRAPPER)
"""Recordings whose entries are records of the formats of one kin."""


def all_formats() -> tuple[Format, ...]:
    """Those of installed plug-ins first, then our own.

    Raises:
        SetupError: a plug-in cannot be loaded.
    """
    return (*plugins.plugged_formats(), *FORMATS)


def ingest(
    paths: Sequence[Path],
    *,
    config: IngestConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ingested:
    """Read all logs under `paths`, files and folders alike.

    Args:
        progress: called with the bytes read so far and the bytes in all, as they are on disk.

    Raises:
        InputError: a path does not exist, or `config.tools` cannot be used.
        UnknownName: `config.format` is no format.
    """
    config = config or IngestConfig()
    return run.ingest(
        paths, formats=all_formats(), wrappers=WRAPPERS, config=config, progress=progress
    )


def known(config: IngestConfig) -> Known:
    """What can be recognised, given the user's `--format`.

    Raises:
        UnknownName: `config.format` is no format.
    """
    return run.known_of(all_formats(), WRAPPERS, config)


def given_tools(config: IngestConfig) -> tuple[ToolSpec, ...]:
    """The tools of the user's tools file; none without one.

    Raises:
        InputError: the file cannot be used.
    """
    return read_tools(Path(config.tools)) if config.tools else ()
