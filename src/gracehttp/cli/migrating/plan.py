"""What becomes of the options of another server: rules for each of them, and the plan that they fill. Pure.

An option that this release of gracehttp doesn't have (`config.OPTIONS`) is told as missing; so a rule may name one.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gracehttp.config import OPTIONS
from gracehttp.config.access_format import read_access_format
from gracehttp.config.readers import UnreadableError
from gracehttp.hints import in_file
from gracehttp.values import Value

_ONE_FLAG = re.compile(r"--([a-z][a-z0-9-]*) (\S+)")
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)")
_ATOM = re.compile(r"%\([^)]*\)s")
_SILENT_LEVELS = ("warning", "error", "critical")


class Takes(enum.Enum):
    """What follows a flag on the command line."""

    VALUE = "a value"
    NOTHING = "nothing: it means true"
    NOTHING_FALSE = "nothing: it means false"


def _as_key(flag: re.Match[str]) -> str:
    return flag[1].replace("-", "_")


class Rule(Value):
    """One option of another server, by its `name` in files and its `flags` on the command line.

    `option` is ours with the same meaning, if there is one. `read` makes our value of theirs: it may set more in the
    plan, and returns None if there is nothing to set. `note` says what is different, or what to do instead; with
    `quiet`, an option that needs nothing here is not worth a line.
    """

    name: str
    flags: tuple[str, ...] = ()
    option: str = ""
    takes: Takes = Takes.VALUE
    read: Callable[[object, Plan], object] | None = None
    note: str = ""
    quiet: bool = False
    repeatable: bool = False
    hook: str = ""
    """For a hook: the event of `[hooks]` that comes nearest."""
    write: str = ""
    """What to write instead on the command line, where `option` and `note` don't say it well."""

    @property
    def hint(self) -> str:
        """What to write instead, for a user who has written the flag here."""
        if self.write:
            return self.write
        if self.option in OPTIONS:
            ours = OPTIONS[self.option]
            written = ours.flag if ours.kind.is_flag else f"{ours.flag} {ours.kind.metavar}"
            return f"{written}; {self.note}" if self.note else written
        if self.quiet and not self.note:
            return "it is not needed"
        return self.note or "gracehttp has nothing that corresponds to it"

    @property
    def hint_in_file(self) -> str:
        """As `hint`, for a user who has written the name in a file of options or in a script."""
        if not self.write and self.option in OPTIONS:
            return f"{self.option}; {self.note}" if self.note else self.option
        if one := _ONE_FLAG.fullmatch(self.hint):
            return f'{_as_key(one)} = "{one[2]}"'
        return _FLAG.sub(_as_key, self.hint)


@dataclass
class Plan:
    """What to write. `remarks` are pairs of what was given and what there is to say about it."""

    server: str
    app: str = ""
    options: dict[str, object] = field(default_factory=dict)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    defaults: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What is wrong with the command itself: that server would not start with it either."""
    given: dict[str, object] = field(default_factory=dict)
    environment: list[str] = field(default_factory=list)
    """Variables that were given with the options, `NAME=VALUE`: they belong into a file for `env_file`."""
    hooks: list[tuple[str, str]] = field(default_factory=list)
    """Functions that were given: the event of `[hooks]` that comes nearest, and the name of the function there."""

    def set(self, name: str, value: object, shown: str = "") -> None:
        """Set our option `name`, if there is one and the value is right; else say so of what was given as `shown`."""
        if name not in OPTIONS:
            self.remark(shown or name, "this release of gracehttp has nothing that corresponds to it")
            return
        try:
            OPTIONS[name].kind.parse(value)
        except UnreadableError as exc:
            self.remark(
                shown or name, f"left out: {name} must be {exc}" + (f" ({in_file(exc.hint)})" if exc.hint else "")
            )
        else:
            self.options[name] = value

    def remark(self, shown: str, note: str) -> None:
        if (shown, note) not in self.remarks:
            self.remarks.append((shown, note))

    def apply(self, rules: Mapping[str, Rule], values: Mapping[str, object]) -> None:
        """Apply the rule of each value, in the order of the rules."""
        self.given = dict(values)
        for name, rule in rules.items():
            if name in values:
                self._apply(rule, values[name])
        for name in values.keys() - rules.keys():
            self.remark(name, f"no option of {self.server} that gracehttp knows")

    def check_levels(self) -> None:
        """Say so if requests are to be logged with the rest, and the level lets none of them through."""
        level = self.options.get("log_level")
        if self.options.get("access_log") and not self.options.get("access_log_file") and level in _SILENT_LEVELS:
            self.remark(
                f"log_level = {level!r}",
                "requests are logged at the level info, so access_log = true logs nothing at this one; "
                'access_log_file = "-" writes them to stdout at any level',
            )

    def _apply(self, rule: Rule, value: object) -> None:
        shown = f"{rule.name} = {_brief(value)}"
        if rule.hook and isinstance(value, Mapping):
            self.hooks.append((rule.hook, rule.name))
        ours = value if rule.read is None else rule.read(value, self)
        if rule.option and ours is not None:
            if rule.option not in OPTIONS:
                self.remark(shown, rule.note or "this release of gracehttp has nothing that corresponds to it")
                return
            self.set(rule.option, ours, shown)
        if rule.note and (rule.option == "" or ours is not None):
            self.remark(shown, rule.note)
        elif not rule.option and rule.read is None and not rule.quiet:
            self.remark(shown, "gracehttp has nothing that corresponds to it")


def by_name(rules: Sequence[Rule]) -> Mapping[str, Rule]:
    """The rules by name, in their order; of two for one name, those of --x and --no-x, the first one counts."""
    found: dict[str, Rule] = {}
    for rule in rules:
        found.setdefault(rule.name, rule)
    return found


def _brief(value: object) -> str:
    """`value` in one short line."""
    if isinstance(value, Mapping) and "function" in value:
        return "a function"
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# --- readers that several servers need ---


def seconds(value: object, plan: Plan) -> object:
    """A duration; a text of digits is seconds too."""
    del plan
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        return float(value) if "." in value else int(value)
    return value


def seconds_or_none(value: object, plan: Plan) -> object:
    """As `seconds`; zero is left to our default."""
    read = seconds(value, plan)
    return read or None


def number(value: object, plan: Plan) -> object:
    del plan
    return int(value) if isinstance(value, str) and value.strip().lstrip("-").isdecimal() else value


def number_or_none(value: object, plan: Plan) -> object:
    """As `number`; zero is left to our default."""
    return number(value, plan) or None


def truth(value: object, plan: Plan) -> object:
    del plan
    return str(value).lower() in {"1", "true", "yes", "on"}


def true_or_none(value: object, plan: Plan) -> object:
    return True if truth(value, plan) else None


def text_or_none(value: object, plan: Plan) -> object:
    del plan
    return str(value) if value not in (None, "") else None


def octal(value: object, plan: Plan) -> object:
    """Permission bits, which these servers write in octal on the command line, and as an integer in files."""
    del plan
    if isinstance(value, int):
        return f"{value:03o}" if value else None
    digits = str(value).lower().removeprefix("0o")
    return digits if digits.strip("0") else None


def bind_with_port(value: object, plan: Plan) -> object:
    """One address or several; a host alone is at port 8000."""
    del plan
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else [str(value)]
    found = [one.strip() for text in texts for one in str(text).split(",") if one.strip()]
    read = [_bind(one) for one in found]
    return read[0] if len(read) == 1 else read or None


def _bind(text: str) -> str:
    if text.startswith(("unix:", "fd://", "http://", "https://")):
        return text.replace("unix://", "unix:", 1) if text.startswith("unix:///") else text
    if text.isdecimal():
        return f":{text}"
    return text if text.rpartition(":")[2].isdecimal() and not text.endswith("]") else f"{text}:8000"


def log_level(value: object, plan: Plan) -> object:
    """The names of levels; ours are the same, with notice."""
    del plan
    name = str(value).lower()
    level = {"trace": "debug", "notset": "debug", "warn": "warning", "fatal": "critical"}.get(name, name)
    return level if level != "info" else None


def verify_mode(value: object, plan: Plan) -> object:
    """`ssl.CERT_NONE` (0), `CERT_OPTIONAL` (1) and `CERT_REQUIRED` (2), by number or by name."""
    del plan
    name = str(value).rpartition(".")[2].upper().removeprefix("CERT_")
    return {"0": None, "NONE": None, "1": "optional", "OPTIONAL": "optional"}.get(name, "required")


def access_format(value: object, plan: Plan) -> object:
    """A format string of the access log. A dash stands for what isn't known here, so that the others keep their
    column."""
    if not isinstance(value, str):
        return value
    left_out: list[str] = []

    def known(match: re.Match[str]) -> str:
        try:
            read_access_format(match[0])
        except UnreadableError:
            left_out.append(match[0])
            return "-"
        return match[0]

    text = _ATOM.sub(known, value)
    if left_out:
        names = ", ".join(dict.fromkeys(left_out))
        plan.remark("access_log_format", f"not known here, and left out (a dash is in its place): {names}")
    return text if _ATOM.search(text) or not left_out else None


def access_log(value: object, plan: Plan) -> object:
    """Where requests are logged. There "-" is stdout, as in our access_log_file; our log itself goes to stderr."""
    if value in (None, "", "None"):
        return None
    plan.set("access_log", True)
    if not plan.given.get("access_log_format"):
        plan.set("access_log_format", "combined")  # the default there, which programs read
    if value in ("/dev/stderr", "/proc/1/fd/2"):
        return None
    return "-" if value in ("-", "/dev/stdout", "/proc/1/fd/1") else value


def list_of_peers(value: object, plan: Plan) -> object:
    del plan
    text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text or "none"


def same(name: str, option: str = "", *, read: Callable[[object, Plan], object] | None = None, note: str = "") -> Rule:
    """An option whose flag is its name, and which has a value."""
    return Rule(name, (f"--{name.replace('_', '-')}",), option or name, read=read, note=note)


def on_off(name: str, option: str = "", *, note: str = "", quiet: bool = False) -> tuple[Rule, ...]:
    """An option with the flags --NAME and --no-NAME, as two rules of which the second one only has the flag."""
    flag = name.replace("_", "-")
    read = truth if option else None
    return (
        Rule(name, (f"--{flag}",), option, Takes.NOTHING, read=read, note=note, quiet=quiet),
        Rule(name, (f"--no-{flag}",), option, Takes.NOTHING_FALSE, read=read, note=note, quiet=quiet),
    )


def without(name: str, note: str = "", *flags: str, takes: Takes = Takes.VALUE, quiet: bool = False) -> Rule:
    """An option that has no equivalent, with what to do instead; with `quiet`, nothing needs to be done."""
    return Rule(name, flags or (f"--{name.replace('_', '-')}",), takes=takes, note=note, quiet=quiet)
