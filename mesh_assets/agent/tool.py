"""What a tool is: its name, what it is told, what it answers. Nothing here knows the protocol."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh_assets.errors import UsageError, nearest
from mesh_assets.reading.agent import Agent

if TYPE_CHECKING:  # slow to import, and a client waits for the list of tools
    from mesh_assets.environment import Environment
    from mesh_assets.portal.site import Site, View

Json = dict[str, Any]
Words = Mapping[str, Any]
"""What a tool was told: every parameter by its name, those that were left out as they are by default."""
TEXT, NUMBER, FLAG, TEXTS = "string", "integer", "boolean", "array"
KINDS = {TEXT: "a text", NUMBER: "a whole number", FLAG: "true or false", TEXTS: "a list of texts"}
LONGEST = 20_000
"""Characters of one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One thing that a tool is told.

    Attributes:
        choices: The only values that there are.
        least: Of a number; `most`, too.
    """

    name: str
    help: str
    kind: str = TEXT
    needed: bool = False
    default: Any = ""
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 10**15

    @property
    def schema(self) -> Json:
        """JSON Schema."""
        told: Json = {"type": self.kind, "description": self.help}
        if self.kind == TEXTS:
            told["items"] = {"type": TEXT}
        if self.kind == NUMBER:
            told |= {"minimum": self.least, "maximum": self.most}
        if self.choices:
            told["enum"] = list(self.choices)
        if not self.needed and self.default not in ("", (), None):
            told["default"] = self.default
        return told

    def fault(self, value: object) -> str:
        """What is wrong with a value; empty: nothing."""
        fits = {
            TEXT: isinstance(value, str),
            NUMBER: isinstance(value, int) and not isinstance(value, bool),
            FLAG: isinstance(value, bool),
            TEXTS: isinstance(value, list) and all(isinstance(item, str) for item in value),
        }
        if not fits[self.kind]:
            return f"`{self.name}` is {KINDS[self.kind]}\n    {self.help}"
        if isinstance(value, int) and self.kind == NUMBER and not self.least <= value <= self.most:
            return f"`{self.name}` is a number from {self.least} to {self.most}\n    {self.help}"
        if isinstance(value, str | list) and sum(map(len, [value] if isinstance(value, str) else value)) > LONGEST:
            return f"`{self.name}` is too long\n    At most {LONGEST} characters."
        if self.choices and value not in self.choices:
            return f"`{value}` is no `{self.name}`\n    {nearest(str(value), self.choices)}"
        return ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and of which mesh. The mesh is looked at anew for every question; what has not changed is not read again.

    Attributes:
        by: For the record, where something is begun.
    """

    site: "Site"
    agent: Agent = field(default_factory=Agent)
    by: str = "agent"

    def view(self) -> "View":
        """The mesh with the standing of every table, as pages of the portal have it."""
        self.site.forget()
        return self.site.view()

    def environment(self) -> "Environment":
        """The mesh alone."""
        self.site.forget()
        return self.site.environment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One question that can be asked, or one thing that can be done.

    Attributes:
        answer: Gives what the tool answers, as plain data.
        writes: It changes something, so that it is offered only where mesh.yaml names it.
        destructive: What it changes is seen by others at once.
        idempotent: Asked twice, it has done no more than once.
        open_world: It executes code of the teams, which may reach anything.
    """

    name: str
    title: str
    help: str
    parameters: tuple[Parameter, ...] = ()
    answer: Callable[[Asked, Words], Json]
    writes: bool = False
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = False

    @property
    def schema(self) -> Json:
        """JSON Schema of what it is told."""
        return {
            "type": "object",
            "properties": {each.name: each.schema for each in self.parameters},
            "required": [each.name for each in self.parameters if each.needed],
            "additionalProperties": False,
        }

    def words(self, told: Mapping[str, object]) -> Words:
        """What it was told, complete.

        Raises:
            UsageError: With everything that is wrong with it.
        """
        known = {each.name: each for each in self.parameters}
        faults = [
            f"`{self.name}` is not told `{name}`\n    {nearest(name, known)}" for name in told if name not in known
        ]
        for name, each in known.items():
            if name not in told or told[name] is None:  # clients send null for what is left out
                faults += [f"`{self.name}` needs `{name}`\n    {each.help}"] if each.needed else []
            elif fault := each.fault(told[name]):
                faults.append(fault)
        if faults:
            raise UsageError("\n".join(faults))
        return {name: each.default if told.get(name) is None else told[name] for name, each in known.items()}
