"""Types of parameters that tell a wrong value in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    _NumberType = click.ParamType[int]
else:
    _NumberType = click.ParamType  # it has no parameter at run time before click 8.2


class WholeNumber(_NumberType):
    """A whole number from `minimum` to `maximum` (None: no limit). `what` is what it stands for: "a PID"."""

    name = "whole number"

    def __init__(self, minimum: int, maximum: int | None = None, *, what: str = "") -> None:
        self._minimum = minimum
        self._maximum = maximum
        end = "on" if maximum is None else f"to {maximum}"
        described = f"a whole number from {minimum} {end}"
        self._what = f"{what}, {described}" if what else described

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value) if isinstance(value, (str, int)) else None
        except ValueError:
            number = None
        if number is None or number < self._minimum or (self._maximum is not None and number > self._maximum):
            self.fail(f"{value!r} is not {self._what}.", param, ctx)
        return number
