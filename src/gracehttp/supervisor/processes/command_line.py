"""The command line that starts this program again: what a generation is.

A `CommandLine` has the names by which the service was started. Each generation looks them up anew (`launch`), so that a
release folder behind a symbolic link, with a virtual environment of its own, or a new Python is picked up by a restart.
What a generation has found, its `Launch`, holds for all of its workers: so none of them is of another release, however
late it starts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence

from gracehttp.config.release_links import LINKS_VARIABLE
from gracehttp.supervisor.processes.debugger import is_attached, without_debugger
from gracehttp.supervisor.processes.shebang import is_run_by_its_first_line
from gracehttp.supervisor.processes.symbolic_links import (
    links_on,
    name_through,
    names_folders,
    resolved_folder,
    unnamed_link,
)
from gracehttp.values import EMPTY, Value


class Launch(Value):
    """What starts the processes of a generation. Links on the way to its folders are resolved."""

    executable: str
    arguments: tuple[str, ...]
    directory: str
    variables: tuple[tuple[str, str], ...] = ()
    """Variables whose value differs from that in the supervisor's environment, by name."""

    def missing(self) -> str:
        """The first of its folders and files that isn't there any more; "" if all are."""
        if not os.path.isdir(self.directory):
            return self.directory
        wanted = [self.executable, *(one for one in self.arguments[:2] if os.path.isabs(one))]
        return next((one for one in wanted if not os.path.exists(os.path.join(self.directory, one))), "")


class CommandLine(Value):
    """What to execute, and in which folder; both by the names that were given. `directory` is empty if it was deleted.
    `is_typed_in` says that the program came from standard input, so that it can't be run a second time."""

    arguments: tuple[str, ...]
    directory: str
    is_typed_in: bool = False
    script: int | None = None
    """Which of the arguments is the script. The first one: it is executed itself, and its first line names the
    interpreter."""
    links: Mapping[str, str] = EMPTY
    """Where the links on the way to its folders led when the service was started."""
    environment: Mapping[str, str] = EMPTY
    """Variables with folders, by the names of links."""
    unnamed_link: str = ""
    """A link that leads to `directory` and that no name mentions, so that it can't be followed."""

    def executable(self) -> str:
        """What to execute: by its path if one was typed, else through PATH as a shell would find it now."""
        typed = self.arguments[0]
        return typed if os.sep in typed else found_program(typed) or sys.executable

    def launch(self) -> Launch:
        """Where the names lead now."""
        executable = self.executable()
        found = resolved_folder(executable)
        arguments = list(self.arguments)
        if found != executable:
            arguments[0] = found
        if self.script:
            arguments[self.script] = resolved_folder(arguments[self.script])
        links = {link: os.path.realpath(link) for link in self.links}
        environment = {
            name: os.pathsep.join(os.path.realpath(one) if names_folders(one, links) else one for one in folders)
            for name, value in self.environment.items()
            for folders in [value.split(os.pathsep)]
        }
        if links:
            environment[LINKS_VARIABLE] = json.dumps(links)
        directory = os.path.realpath(self.directory) if os.path.isabs(self.directory) else self.directory
        return Launch(found, tuple(arguments), directory, tuple(environment.items()))

    def by_name(self) -> Launch:
        """The same with nothing resolved, for a process that will look it up itself: the next supervisor."""
        environment = {**self.environment, **({"PWD": self.directory} if self.links else {})}
        return Launch(self.executable(), self.arguments, self.directory, tuple(environment.items()))


_FOLDER_VARIABLES = ("PATH", "VIRTUAL_ENV", "PYTHONPATH")
"""They may name an environment that is part of a release."""


def found_program(name: str) -> str:
    """What a shell would execute by `name`: itself if it is a path, else through PATH; "" if there is no such program.
    As `shutil.which`, which would leave three libraries for archives in each process."""
    folders = [""] if os.sep in name else os.get_exec_path()
    paths = (os.path.join(folder, name) for folder in folders)
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), "")


def this_command_line() -> CommandLine:
    """How this process was started. To be called before anything changes the working directory."""
    arguments = tuple(sys.orig_argv)
    if is_attached():
        arguments = without_debugger(arguments)
    if arguments and not found_program(arguments[0]):
        arguments = (
            sys.executable,
            *arguments[1:],
        )  # some launchers put a label where the program's name belongs
    return CommandLine(arguments or (sys.executable,), _working_directory(), _comes_from_standard_input())


def to_be_repeated(command: CommandLine, argv: Sequence[str], environ: Mapping[str, str]) -> CommandLine:
    """`command` by the names that a restart must follow. `argv` is `sys.argv`, and the working directory unchanged.

    - A script that was executed itself is executed again: its first line names the interpreter, and in another release
      that is another one.
    - What is in the folder of a link that some name goes through is named by that link, too. So a service whose code is
      found by /srv/current follows that link with its interpreter as well, however that was found.
    """
    arguments, script = command.arguments, None
    place = len(arguments) - len(argv)
    if place > 0 and arguments[place:] == tuple(argv):
        script = place
        if is_run_by_its_first_line(argv[0], command.directory, arguments[:place]):
            arguments, script = arguments[place:], 0
    is_named = environ.get("PWD") == command.directory
    executable = CommandLine(arguments, command.directory).executable()
    named = [*([command.directory] if is_named else []), executable, *map(_value, arguments[1:])]
    links = {link: target for name in named for link, target in links_on(name, command.directory).items()}
    if (through := name_through(executable, links)) != executable:
        arguments = (through, *arguments[1:])
    if script:
        arguments = (*arguments[:script], name_through(arguments[script], links), *arguments[script + 1 :])
    directory = command.directory if is_named else name_through(command.directory, links)
    unnamed = "" if is_named or directory != command.directory else unnamed_link(directory)
    return CommandLine(
        arguments,
        directory,
        command.is_typed_in,
        script,
        links,
        {name: value for name in _FOLDER_VARIABLES if (value := _through(environ.get(name, ""), links))},
        unnamed,
    )


def _value(argument: str) -> str:
    """What may be a path in `--option=PATH` or `PATH`."""
    return argument.partition("=")[2] if argument.startswith("-") else argument


def _through(folders: str, links: Mapping[str, str]) -> str:
    """The list of folders by the names of links; "" if none of them has such a name."""
    named = [name_through(one, links) for one in folders.split(os.pathsep)]
    return os.pathsep.join(named) if any(names_folders(one, links) for one in named) else ""


def typed_directory(environ: Mapping[str, str], working_directory: str) -> str:
    """The working directory by the name that the shell knew it by.

    `getcwd(3)` resolves symbolic links, so that after a deploy that turns a link to another release it would still
    name the old one; the shell keeps the link's name in PWD.
    """
    named = environ.get("PWD", "")
    try:
        return named if named and os.path.samefile(named, working_directory) else working_directory
    except OSError:
        return working_directory


def _comes_from_standard_input() -> bool:
    """Of `python < script.py`, `python - ARGUMENTS` and an interactive session."""
    file = getattr(sys.modules.get("__main__"), "__file__", "<stdin>")
    return file == "<stdin>" and (sys.argv[:1] or [""])[0] in {"", "-"}


def _working_directory() -> str:
    try:
        return typed_directory(os.environ, os.getcwd())
    except FileNotFoundError:  # deleted (getcwd(3)): only the supervisor needs it, to start workers
        return ""
