"""The command line: parse words, call one function of `api`, print. The only place that catches.

Each command is one file with one click command of the same name; files import the rooms inside
the command, so that `misstep --help` loads click and nothing else. Exit codes: 0 done, 1 a stage
failed, 2 the set-up is wrong, 3 the verdict is do-not-ship or `--strict` found failures or nothing
to judge, 130 stopped. A traceback is shown with `--debug` alone.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, NoReturn

import click

from misstep import __version__
from misstep.errors import MisstepError, near

_INTERRUPTED = "misstep.interrupted"
"""In a context's `meta`: Ctrl-C has come."""

COMMANDS = (
    "scan",
    "mine",
    "lint",
    "train",
    "eval",
    "run",
    "show",
    "review",
    "try",
    "compare",
    "watch",
    "merge",
    "tools",
    "forget",
    "formats",
    "validators",
    "completion",
    "recipes",
)


RESUMED = ("run", "mine", "train", "eval")
"""Commands that leave finished stages behind when they are stopped."""
STOPPED = 130
"""The exit code of a command that was interrupted, as shells have it."""


class _Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"misstep.cli.{cmd_name}")
        command: click.Command = module.command
        if not any(param.name == "debug" for param in command.params):
            command.params.append(_debug_option())
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"no such command {args[0]!r}; {near(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _interrupts_noted(ctx):
                return super().invoke(ctx)
        except MisstepError as error:
            if _behind_interrupt(ctx, error):
                _stop(ctx, error)
            _tell(ctx, error, str(error))
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort) as error:
            _stop(ctx, error)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click ends quietly when the reader of a pipe went away
            if _behind_interrupt(ctx, error):
                _stop(ctx, error)
            _unexpected(ctx, error)
        except BaseException as error:
            if type(error).__module__ != "pyo3_runtime":
                raise
            _unexpected(ctx, error)  # Rust code gave up: that is no `Exception`


def _debug_option() -> click.Option:
    def keep(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            ctx.find_root().meta["misstep.debug"] = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=keep,
        is_eager=True,
        help="Show the traceback of an error.",
    )


def _tell(ctx: click.Context, error: BaseException, said: str) -> None:
    """One line on stderr; above it the traceback, where it was asked for."""
    if ctx.find_root().meta.get("misstep.debug"):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    click.echo(f"misstep: {said}", err=True)


def _stop(ctx: click.Context, error: BaseException) -> NoReturn:
    """What Ctrl-C ends with."""
    _tell(ctx, error, _stopped(ctx.invoked_subcommand))
    _forget_interrupt()
    ctx.exit(STOPPED)


@contextlib.contextmanager
def _interrupts_noted(ctx: click.Context) -> Iterator[None]:
    """Ctrl-C as Python takes it, with a note that it came: CPython loses one that hits the loading
    of the names behind `\\N{…}`, and gives a SyntaxError in its place."""

    def note(number: int, frame: FrameType | None) -> None:
        ctx.meta[_INTERRUPTED] = True
        signal.default_int_handler(number, frame)

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _behind_interrupt(ctx: click.Context, error: BaseException) -> bool:
    """Whether Ctrl-C is behind an error: CPython wraps one that hits the making of a class."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__cause__ or seen.__context__
    return seen is not None or _INTERRUPTED in ctx.meta


def _unexpected(ctx: click.Context, error: BaseException) -> NoReturn:
    """A fault of ours, and the exit code of a stage that failed."""
    _tell(ctx, error, f"unexpected {_said(error)}; run with --debug to see the traceback")
    ctx.exit(1)


def _forget_interrupt() -> None:
    """CPython ends `python -m misstep` by a signal, whatever its exit code, where an interrupt hit
    code that is run from a string, as importing a dataclass does; running another forgets it."""
    exec("")  # noqa: S102


def _stopped(command: str | None) -> str:
    if command not in RESUMED:
        return "stopped"
    import re
    import shlex

    # without what a URL may hold of a password
    bare = (re.sub(r"://[^/@]*@", "://", word) for word in sys.argv[1:])
    words = shlex.join(["misstep", *(re.sub(r"(://[^?]*)\?.*", r"\1", word) for word in bare)])
    return f"stopped; finished stages are kept; resume with: {words}"


def _said(error: BaseException) -> str:
    """The kind of an error, its first line, and where it was raised."""
    first = (str(error).strip().splitlines() or [""])[0][:300]
    spelled = "".join(c if c.isprintable() else repr(c)[1:-1] for c in first)
    place = _place(error.__traceback__)
    return f"{type(error).__name__}{f': {spelled}' if spelled else ''}{place}"


def _place(trace: TracebackType | None) -> str:
    """The innermost line of ours."""
    ours = f"{os.sep}misstep{os.sep}"
    frames = [f for f in traceback.extract_tb(trace) if ours in f.filename]
    return f" (in {frames[-1].filename.rpartition(ours)[2]}:{frames[-1].lineno})" if frames else ""


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 a stage failed, 2 the set-up is wrong, 3 do not ship or --strict "
    "found failures or nothing to judge, 130 stopped.",
)
@click.version_option(__version__, prog_name="misstep")
def main() -> None:
    """Train an agent on its own missteps.

    Start with `misstep scan LOGS`: what fails, where, how often; seconds, no model needed.
    `misstep run LOGS --model M -o RUN` does the whole loop, up to a measured before/after.
    """


main.params.append(_debug_option())
