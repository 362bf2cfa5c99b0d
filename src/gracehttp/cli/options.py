"""The options of the configuration as options of click, and help that shows them under headings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from gracehttp.cli.arguments import CONFIG, CONFIG_FLAGS, CONFIG_VARIABLE, flags_of, negative_flag_of
from gracehttp.config import OPTIONS, Option
from gracehttp.config.model import GROUPS
from gracehttp.config.near_names import foreign_flag, near_flag

_Command = TypeVar("_Command", bound=Callable[..., Any])


class ConfiguredParameter(click.Option):
    """An option of the configuration. Its value is text, or None if it wasn't given; the configuration parses it."""

    def __init__(self, param_decls: Sequence[str] | None = None, *, option: Option) -> None:
        del param_decls  # they derive from the option
        self.option = option
        # Without default and variable: gracehttp.config chooses among all sources of a value, not click.
        super().__init__(_declarations(option), help=_help(option), **_form(option))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a shell offers as the value: one of the words that it may be, or a path."""
        kind = self.option.kind
        if kind.is_path:
            return [CompletionItem(incomplete, type="dir" if kind.metavar == "FOLDER" else "file")]
        return [CompletionItem(word) for word in kind.words if word.startswith(incomplete)]


def configured(command: _Command) -> _Command:
    """Gives `command` the argument APP, --config, and every option of the configuration."""
    for option in reversed(list(OPTIONS.values())):
        if option.name != "app":
            click.option(cls=ConfiguredParameter, option=option)(command)
    config_option("A TOML file with options; the keys are the names below, as max_connections.")(command)
    click.argument("app", required=False, metavar="[APP]")(command)
    return command


def config_option(text: str) -> Callable[[_Command], _Command]:
    """The option --config, with `text` as its help."""
    return click.option(
        *CONFIG_FLAGS,
        CONFIG,
        metavar="FILE",
        type=click.Path(path_type=Path, readable=False),  # who reads it tells what is in the way
        envvar=CONFIG_VARIABLE,
        help=f"{text}  [env: {CONFIG_VARIABLE}]",
    )


class ConfiguredCommand(click.Command):
    """A command whose help shows the options of the configuration by group."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """An option that another server has gets the hint that fits, and one that is near a name of ours that name."""
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            meant = foreign_flag(error.option_name) or meant_option(error.option_name, ctx)
            raise click.UsageError(f"No such option: {error.option_name}. Hint: {meant}", ctx) from error
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            meant = f"{ctx.command_path} takes one application; a file of options has a table [[server]] for each"
            raise click.UsageError(f"{error.message}. Hint: {meant}", ctx) from error
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        parameters = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        own = [parameter for parameter in parameters if not isinstance(parameter, ConfiguredParameter)]
        _write_section(formatter, ctx, "Options", own)
        for group in GROUPS:
            of_group = [
                parameter
                for parameter in parameters
                if isinstance(parameter, ConfiguredParameter) and parameter.option.group == group
            ]
            _write_section(formatter, ctx, group, of_group)


def meant_option(flag: str, ctx: click.Context) -> str:
    """Which option of the command was probably meant by `flag`, else where they are listed."""
    own = [name for one in ctx.command.params for name in one.opts if name.startswith("--")]
    near = near_flag(flag, [name[2:].replace("-", "_") for name in own])
    return f"did you mean {near}?" if near else f"{ctx.command_path} --help lists the options"


def _declarations(option: Option) -> Sequence[str]:
    flag, *others = flags_of(option)
    no = negative_flag_of(option)
    return [f"{flag}/{no}" if no else flag, *others, option.name]


def _form(option: Option) -> dict[str, Any]:
    if option.kind.is_flag:
        return {"is_flag": True, "default": None}
    return {"type": str, "default": None, "metavar": option.kind.metavar, "multiple": option.kind.repeatable}


def _help(option: Option) -> str:
    variables = option.variable + (f" or {option.common_variable}" if option.common_variable else "")
    return f"{option.help}  [default: {option.show_default()}; env: {variables}]"


def _write_section(
    formatter: click.HelpFormatter, ctx: click.Context, title: str, parameters: Iterable[click.Option]
) -> None:
    records = [record for parameter in parameters if (record := parameter.get_help_record(ctx)) is not None]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)
