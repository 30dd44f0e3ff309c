"""Options that several commands share, and how they become a `RunConfig`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml

from misstep.config import RunConfig, load_config
from misstep.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

LOGS = click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path))
MODEL = click.option(
    "--model", help="Hub id, folder, .gguf file, or smollm2 (embedded; the default)."
)
SEED = click.option("--seed", type=int, help="Seed of every draw.")
QUIET = click.option("--quiet", is_flag=True, help="No progress on stderr.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML file with settings (see docs/config.md).",
)
ENDPOINT = click.option(
    "--endpoint", metavar="URL", help="OpenAI-compatible endpoint that answers for resampling."
)
ENDPOINT_MODEL = click.option(
    "--endpoint-model", metavar="NAME", help="The name by which the endpoint serves the model."
)
NO_REDACT = click.option(
    "--no-redact",
    is_flag=True,
    help="Leave secrets, e-mail addresses and users' names as they are (docs/redaction.md).",
)
NOT_REDACTED = (
    "secrets, e-mail addresses and users' names stay in what is written, as they stand in the "
    "logs; do not share it"
)
SET = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one setting, e.g. --set dpo.beta=0.1; may be given again.",
)
VALIDATOR = click.option(
    "--validator",
    "validators",
    multiple=True,
    metavar="MODULE:NAME",
    help="A validator of your own (see docs/validators.md); may be given again.",
)


def reading(command: F, *, spelling: Sequence[str] = ("--format", "--log-format")) -> F:
    """The options of every command that reads logs; `spelling` of the log format's."""
    for option in (
        click.option(*spelling, "format_", help="Name of the log format (default: recognised)."),
        click.option("--tools", help="Tools file, for logs that keep no schemas."),
        click.option(
            "--exclude",
            multiple=True,
            metavar="PATTERN",
            help="Leave out files; may be given again (docs/formats.md).",
        ),
        click.option("--schema", help="JSON Schema that every text answer must meet."),
        click.option("--expect-json", is_flag=True, help="Every text answer should be JSON."),
        VALIDATOR,
        click.option("--workers", type=int, help="Processes that read (default: one a core)."),
        CONFIG,
        SET,
        QUIET,
    ):
        command = option(command)
    return command


def build_config(path: Path | None, settings: Sequence[str] = (), **overrides: Any) -> RunConfig:
    """The settings of the file, then `--set`, then the flags that were given (not None)."""
    merged: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected KEY=VALUE, for example dpo.beta=0.1")
        try:
            merged[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {setting}: the value is not YAML") from None
    for dotted, value in overrides.items():
        if value is not None:
            merged[dotted.replace("__", ".")] = value
    return load_config(path, merged)


def run_config(folder: Path, given: Path | None) -> Path | None:
    """The settings file to start from: the given one, else that of the run folder."""
    own = folder / "config.yaml"
    return given if given is not None or not own.exists() else own


def reading_config(values: dict[str, Any], **overrides: Any) -> RunConfig:
    """The settings of a command that reads logs, from its click parameters."""
    return build_config(
        values["config_path"],
        values["settings"],
        ingest__format=values["format_"],
        ingest__tools=values["tools"],
        ingest__exclude=values["exclude"] or None,
        ingest__workers=values["workers"],
        validate__schema=values["schema"],
        validate__json=values["expect_json"] or None,
        validate__validators=values["validators"] or None,
        **overrides,
    )
