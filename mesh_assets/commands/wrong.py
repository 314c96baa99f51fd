"""What is wrong with the words of a command, said as everything else is: what, and how to mend it. Typer's own words stay out."""

import re
from typing import Any

from mesh_assets.errors import nearest

_MORE = re.compile(r"Got unexpected extra argument(?:\(s\)|s)? \((.*)\)")
_COMMAND = re.compile(r"No such command '([^']*)'")

KINDS = {"int": "a whole number", "float": "a number", "bool": "`true` or `false`"}
"""What pydantic, which reads the values for Typer, names its errors after; and what a person would write."""


def words(error: Any) -> str:  # noqa: ANN401 - Typer does not export its kinds of errors
    """The error of a command that was typed wrongly."""
    if type(error).__name__ == "NoArgsIsHelpError":  # nothing is wrong, and nothing was asked
        return str(error.message)
    called = error.ctx.command_path if error.ctx is not None else "mesh"
    mend = f"`{called} --help` shows how it is called."
    if (option := getattr(error, "option_name", "")) and hasattr(error, "possibilities"):
        known = [name for param in error.ctx.command.params for name in param.opts if name.startswith("-")]
        return f"`{called}` has no option `{option}`\n    {nearest(option, known, otherwise=mend)}"
    if unknown := _COMMAND.match(error.message):
        return f"`{called}` has no command `{unknown[1]}`\n    {nearest(unknown[1], error.ctx.command.commands, otherwise=mend)}"
    if more := _MORE.match(error.message):
        return f"`{called}` takes no more words than it has, and there is `{more[1]}`\n    {mend}"
    if option:
        return f"`{option}` needs a value\n    {mend}"
    param = getattr(error, "param", None)
    if param is None:
        return f"{_sentence(error.message)}\n    {mend}"
    name = next((each for each in param.opts if each.startswith("--")), param.metavar or param.name.upper())
    told = " ".join((param.help or "").split())
    if hasattr(error, "param_type"):
        return f"`{name}` is missing\n    {f'{told} {mend}'.strip()}"
    return f"`{name}` {_value(error)}\n    {mend}"


def _value(error: Any) -> str:  # noqa: ANN401 - as above
    """What is wrong with a value, as pydantic tells it; else what Typer says."""
    cause = error.__cause__
    if not hasattr(cause, "errors"):
        return f"cannot be that: {_sentence(error.message)}"
    first = cause.errors()[0]
    kind = str(first["type"]).partition("_")[0]
    if kind in KINDS:
        return f"is {KINDS[kind]}, not `{first['input']}`"
    bounds = {"greater": "at least", "less": "at most"}
    limit = next(iter((first.get("ctx") or {}).values()), "")
    return f"is {bounds[kind]} {limit}, not {first['input']}" if kind in bounds else f"cannot be `{first['input']}`"


def _sentence(text: str) -> str:
    return text.strip().rstrip(".")
