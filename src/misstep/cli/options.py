"""Options that several commands share, and how they become a `RunConfig`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
import yaml

from misstep.config import RunConfig, load_config, merge, read_yaml
from misstep.errors import ConfigError, UnknownName

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
        click.option(
            "--allow-https",
            is_flag=True,
            help="Read LOGS from http and https URLs too (s3, gs, hf, … need no flag).",
        ),
        click.option("--schema", help="JSON Schema that every text answer must meet."),
        click.option("--expect-json", is_flag=True, help="Every text answer should be JSON."),
        VALIDATOR,
        click.option("--workers", type=int, help="Processes that read (default: one a core)."),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            help="What spreads the work: this machine's processes, or Ray (docs/scale.md).",
        ),
        click.option(
            "--ray-address",
            metavar="ADDRESS",
            help="A running Ray cluster, or auto (default: Ray on this machine).",
        ),
        CONFIG,
        SET,
        QUIET,
    ):
        command = option(command)
    return command


def pushing(command: F) -> F:
    """The options of every command that leaves a measured adapter."""
    for option in (
        click.option(
            "--push-to-hub",
            metavar="OWNER/NAME",
            help="Upload adapter, tokenizer and card of the finished run; private.",
        ),
        click.option("--public", is_flag=True, help="With --push-to-hub: for everyone to see."),
        click.option(
            "--anyway", is_flag=True, help="With --push-to-hub: also if the verdict says no."
        ),
    ):
        command = option(command)
    return command


def push(folder: Path, config: RunConfig, values: dict[str, Any], verdict: str) -> None:
    """Upload the run where `--push-to-hub` asks for it; says on stderr what went, or why not."""
    from misstep import api

    repo = values["push_to_hub"]
    if repo is None:
        return
    if verdict == "nothing-to-train":
        click.echo("misstep: not pushed: nothing was trained", err=True)
    elif verdict == "do-not-ship" and not values["anyway"]:
        click.echo("misstep: not pushed: the verdict is do-not-ship (--anyway pushes)", err=True)
    else:
        how = {"public": values["public"], "anyway": values["anyway"]}
        click.echo("\n".join(api.push(folder, config, repo=repo, **how)), err=True)


def check_push(values: dict[str, Any]) -> None:
    """Refuse a name that no repository can have before anything long begins."""
    if values["push_to_hub"] is not None:
        from misstep.train.hub import check_repo

        check_repo(values["push_to_hub"])


def recipes(command: F) -> F:
    """The options of every command that can begin with a recipe."""
    for option in (
        click.option("--recipe", metavar="NAME", help="Begin with the settings of a recipe."),
        click.option(
            "--preset",
            default="auto",
            show_default=True,
            help="Sizes of the recipe: cpu, 24gb or 80gb; auto takes those of this machine.",
        ),
    ):
        command = option(command)
    return command


def build_config(
    path: Path | None,
    settings: Sequence[str] = (),
    *,
    recipe: str | None = None,
    preset: str = "auto",
    folder: Path | None = None,
    **overrides: Any,
) -> RunConfig:
    """The settings: a recipe's, the file's, then `--set`, then the flags that were given.

    Without a file, those that the run folder `folder` was made with are the ground, below the
    recipe; a file may name its recipe as well (`recipe: ocr`).
    """
    merged = _set(settings)
    for dotted, value in overrides.items():
        if value is not None:
            merged[dotted.replace("__", ".")] = value
    start = path if folder is None else run_config(folder, path)
    file = {} if path is None else read_yaml(path)
    name = recipe or file.get("recipe")
    _check_preset(preset, name)
    if not isinstance(name, str):
        return load_config(start, merged)
    from misstep.recipes import settings as settings_of

    ground = read_yaml(start) if start is not None and path is None else {}
    model = merged.get("model") or file.get("model") or ground.get("model") or RunConfig().model
    merge(ground, settings_of(name, model=str(model), preset=preset))
    return load_config(path, merged, ground)


def _check_preset(preset: str, recipe: object) -> None:
    """A preset that would do nothing is refused: it holds sizes of a recipe."""
    if preset == "auto":
        return
    from misstep.recipes import PRESETS

    if preset not in PRESETS:
        raise UnknownName("preset", preset, ("auto", *PRESETS))
    if recipe is None:
        raise ConfigError(
            f"--preset {preset}: needs --recipe NAME, whose sizes it chooses (or a --config file "
            f"that names one); `misstep recipes` lists them"
        )


def _set(settings: Sequence[str]) -> dict[str, Any]:
    """Dotted keys and values of `--set`."""
    merged: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected KEY=VALUE, for example dpo.beta=0.1")
        try:
            merged[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {setting}: the value is not YAML") from None
    return merged


def given(values: dict[str, Any], key: str) -> bool:
    """Whether the user set a dotted key: with `--set`, or in the `--config` file."""
    if any(key == name or key.startswith(f"{name}.") for name in _set(values["settings"])):
        return True
    at: Any = {} if values["config_path"] is None else read_yaml(values["config_path"])
    for name in key.split("."):
        at = at.get(name) if isinstance(at, dict) else None
    return at is not None


def run_config(folder: Path, given: Path | None) -> Path | None:
    """The settings file to start from: the given one, else that of the run folder."""
    own = folder / "config.yaml"
    return given if given is not None or not own.exists() else own


def reading_config(values: dict[str, Any], **overrides: Any) -> RunConfig:
    """The settings of a command that reads logs, from its click parameters."""
    return build_config(
        values["config_path"],
        values["settings"],
        recipe=values.get("recipe"),
        preset=values.get("preset", "auto"),
        ingest__format=values["format_"],
        ingest__tools=values["tools"],
        ingest__exclude=values["exclude"] or None,
        ingest__workers=values["workers"],
        ingest__allow_https=values["allow_https"] or None,
        ingest__engine=values["engine"],
        ingest__ray_address=values["ray_address"],
        validate__schema=values["schema"],
        validate__json=values["expect_json"] or None,
        validate__validators=values["validators"] or None,
        **overrides,
    )


def look() -> dict[str, Any]:
    """Colour and width of a summary on stdout: both plain where it is no terminal."""
    from misstep.report import wants_colour

    if not sys.stdout.isatty():
        return {"colour": False, "width": 80}
    width = shutil.get_terminal_size().columns
    return {"colour": wants_colour(sys.stdout), "width": min(max(width, 80), 120)}


def planned(plan: str, *, as_json: bool) -> str | bytes:
    """What `--dry-run` prints: the plan as it is, or with `--json` its lines in an object."""
    if not as_json:
        return plan
    told = {"verdict": "planned", "plan": plan.splitlines()}
    return orjson.dumps(told, option=orjson.OPT_INDENT_2)
