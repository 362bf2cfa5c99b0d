"""The command `gracehttp`: its help, its commands, and how each error ends it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import click

from gracehttp.cli.endings import errors_end_the_command
from gracehttp.cli.version import tell_version
from gracehttp.console import echo
from gracehttp.errors import EXIT_USAGE

_COMMANDS = ("serve", "check", "restart", "stop", "status", "top", "migrate", "example", "completion", "demo")
"""In the order of their use. Each is a function in the module of the same name."""

_RELOAD = "gracehttp restart brings new code into use; while you develop, gracehttp serve main:app --reload does"
_SERVE = "gracehttp serve main:app serves an application"
_DEVELOP = "gracehttp serve main:app --reload restarts at each change"
_MEANT = {
    "run": _SERVE, "start": _SERVE, "runserver": _DEVELOP, "dev": _DEVELOP,
    "reload": _RELOAD, "deploy": _RELOAD,
    "kill": "gracehttp stop ends a service", "quit": "gracehttp stop ends a service",
    "ps": "gracehttp status shows what runs", "list": "gracehttp status shows what runs",
}  # fmt: skip
"""What other programs call their commands."""


class Program(click.Group):
    """The group of commands. Imports only the command that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"gracehttp.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"No such command {args[0]!r}. Hint: {_meant(args)}", ctx) from error

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            _tell(error)
            raise click.exceptions.Exit(EXIT_USAGE) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with errors_end_the_command():
                return super().invoke(ctx)
        except click.UsageError as error:
            _tell(error, ctx.invoked_subcommand)
            ctx.exit(EXIT_USAGE)


def _tell(error: click.UsageError, command: str | None = None) -> None:
    """Write what click finds wrong, in the form of all other errors: one sentence, and a hint."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        echo(error.format_message(), err=True)
        return
    # Some errors of click don't know their command.
    path = error.ctx.command_path if error.ctx is not None else " ".join(filter(None, ("gracehttp", command)))
    sentence, _, meant = error.message.partition(" Hint: ")
    if isinstance(error, click.NoSuchOption):
        from gracehttp.cli.options import meant_option

        sentence = f"No such option: {error.option_name}"
        meant = meant_option(error.option_name, error.ctx) if error.ctx is not None else ""
        if error.ctx is not None and error.ctx.parent is None and _is_option_of_serve(error.option_name):
            meant = f"it is an option of serve, and stands behind that: gracehttp serve main:app {error.option_name}"
    elif isinstance(error, click.BadParameter):
        flag = next((one for one in getattr(error.param, "opts", ()) if one.startswith("--")), "")
        if isinstance(error.param, click.Argument):
            flag = error.param.metavar or ""
        sentence = " ".join((f"{flag}: {sentence}" if flag and sentence else error.format_message()).split())
    sentence = sentence.rstrip(".")
    named = sentence[:1] == "-" or sentence[:2].isupper()  # an option or an argument
    told = sentence if named else sentence[:1].lower() + sentence[1:]
    echo(f"gracehttp: error: {told}.\nHint: {meant or f'{path} --help tells how it is called'}", err=True)


def _is_option_of_serve(flag: str) -> bool:
    from gracehttp.cli.serve import serve

    return any(flag in (*one.opts, *one.secondary_opts) for one in serve.params)


def _meant(words: Sequence[str]) -> str:
    import difflib  # read only where something is wrong

    name = words[0]
    if name == "help":
        return " ".join(["gracehttp", *words[1:2], "--help"])
    if ":" in name:
        return f"gracehttp serve {name} serves an application"
    if name.endswith(".py"):
        return f"gracehttp serve {name.removesuffix('.py').replace('/', '.')}:app serves an application"
    if name in _MEANT:
        return _MEANT[name]
    near = difflib.get_close_matches(name, _COMMANDS, n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(_COMMANDS)}"


def _print_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """A callback of click."""
    del parameter
    if wanted and not ctx.resilient_parsing:
        ctx.exit(tell_version())


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="gracehttp COMMAND --help tells all options of a command.",
)
@click.option(
    "--version",
    "-V",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and how it was built, and exit.",
)
def program() -> None:
    """Serve ASGI and WSGI applications over HTTP and HTTPS, and replace the running code without a client noticing.

    \b
    Start:      gracehttp serve main:app --bind :8000 --workers 4 --pidfile app.pid
    New code:   gracehttp restart --pidfile app.pid     (or kill -HUP PID)
    Stop:       gracehttp stop --pidfile app.pid        (or kill -TERM PID)
    Around it:  gracehttp example systemd main:app      (or dockerfile, kubernetes, nginx and others)
    Watch it:   gracehttp top --pidfile app.pid
    See it:     gracehttp demo --restarts 5

    A restart starts new workers next to the old ones. When all of them are ready, they take over the ports and the
    idle connections, and the old ones finish what is in flight. If the new ones don't become ready they vanish, the
    old ones serve on, and the command tells why.

    \b
    Signals to the supervisor, whose PID stays the same:
      HUP, USR1        restart
      USR2             restart, and the supervisor itself as well
      TERM, QUIT, INT  finish what is in flight, then stop; a second one forces
      TTIN, TTOU       one worker more, one worker less

    \b
    Options of serve and check come from the command line, else the environment (GRACEHTTP_WORKERS for --workers),
    else a TOML file (--config), else the defaults. gracehttp check shows what they amount to, and where each
    comes from. restart, stop and status find the supervisor by the same GRACEHTTP_PIDFILE, GRACEHTTP_CONTROL
    and GRACEHTTP_CONFIG. Their other options, and those of demo, are for one call: they have no variables.

    \b
    Exit status: 0 done; 1 the command failed; 2 a mistake in the options; 3 the service could not start;
    4 what was ordered is still under way after --timeout; 130 the same after Ctrl+C.
    """
