"""A JSON Schema as quick functions that say, in our words and with a position, where a file differs from it.

The standard's schema is compiled once to closures: validating a contract costs a fraction of a millisecond, where an
interpreter of JSON Schema needs twenty. What is supported is what the standard and our own schemas use; an unknown
keyword stops the compiler, so that a newer schema cannot lose a rule in silence. A property test compares the verdicts
with those of an independent implementation.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mesh_assets.errors import Problem
from mesh_assets.reading.shapewords import (
    FORMS,
    NOUNS,
    TYPES,
    At,
    Fault,
    described,
    label,
    listed,
    other,
    retype,
    short,
    told_once,
    unknown,
    words,
)
from mesh_assets.reading.source import Document, Map, Seq

Schema = Mapping[str, object] | bool
Seen = set[str] | None  # property names that some part of the schema has judged
Check = Callable[[object, At, list["Fault"], Seen], None]

IGNORED = frozenset(
    {
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "format",
        "then",
        "else",
    }
)
USUAL: Mapping[str, type] = {"string": str, "boolean": bool, "object": Map, "array": Seq}
CODES: Mapping[str, str] = {
    "unknown": "M002",
    "missing": "M010",
    "type": "M011",
    "choice": "M012",
    "form": "M013",
    "alone": "M014",
}


class Shape:
    """A compiled schema."""

    def __init__(self, schema: Mapping[str, object], noun: str) -> None:
        self._check = _Compiler(schema).compile(schema, noun)

    def problems(self, document: Document) -> list[Problem]:
        """Everything in the document that the schema does not allow."""
        told = told_once(self.faults(document.root))
        return [Problem(CODES[fault.kind], what, document.place(*fault.at), mend) for fault, what, mend in told]

    def faults(self, value: object) -> list[Fault]:
        """Everything in the value that the schema does not allow; none says that it is valid."""
        faults: list[Fault] = []
        self._check(value, (None, ""), faults, None)
        return faults


@cache
def standard() -> Shape:
    """The schema of the Open Data Contract Standard, as the standard's own package ships it."""
    spec = find_spec("open_data_contract_standard")  # located, not imported: its model is slow to load
    folder = (spec.submodule_search_locations or [""])[0] if spec else ""
    return Shape(mended(json.loads(Path(folder, "schema.json").read_bytes())), "a contract")


def mended(schema: Mapping[str, object]) -> Mapping[str, object]:
    """The standard's schema, with conditions that ask for what they test.

    As shipped, `if: {properties: {logicalType: {const: map}}}` also holds for a column without `logicalType`: it would
    have to be a map, an array and a string at once, against the standard's own text and examples.
    """
    definitions = schema["$defs"]
    base = definitions["SchemaBaseProperty"] if isinstance(definitions, Mapping) else {}
    for part in base["allOf"]:
        condition = part.get("if", {})
        for one in condition.get("anyOf", [condition]):
            if "logicalType" in one.get("properties", {}):
                one["required"] = ["logicalType"]
    return schema


@cache
def ours(name: str) -> Shape:
    """A schema of this library: `domain` or `mesh`."""
    return Shape(
        json.loads(Path(__file__).with_name("schemas").joinpath(f"{name}.schema.json").read_bytes()), f"{name}.yaml"
    )


class _Compiler:
    """Turns a schema and what it refers to into closures, each once."""

    def __init__(self, root: Mapping[str, object]) -> None:
        self.root = root
        self.compiled: dict[str, Check] = {}

    def compile(self, schema: object, noun: str) -> Check:
        if not isinstance(schema, Mapping) or not schema:
            return _anything
        checks: list[Check] = []
        for keyword, argument in schema.items():
            if keyword in IGNORED or keyword in ("unevaluatedProperties", "additionalProperties", "if", "type"):
                continue
            checks.append(getattr(self, f"_{keyword.removeprefix('$')}")(argument, noun))
        if "if" in schema:
            checks.append(self._if(schema, noun))
        if "additionalProperties" in schema:
            checks.append(self._additional(schema, noun))
        if schema.get("unevaluatedProperties") is False:
            checks = [self._unevaluated(checks, self._names(schema), noun)]
        if "type" in schema:
            return _typed(schema["type"], checks)
        return checks[0] if len(checks) == 1 else _all(checks)

    def _ref(self, target: str, noun: str) -> Check:
        """Compiled at first use: the standard's schema refers to itself."""
        name = target.rpartition("/")[2]

        def check(value: object, at: At, faults: list[Fault], seen: Seen) -> None:
            compiled = self.compiled.get(target)
            if compiled is None:
                compiled = self.compiled[target] = self.compile(self._resolve(target), NOUNS.get(name, noun))
            compiled(value, at, faults, seen)

        return check

    def _resolve(self, target: str) -> object:
        found: object = self.root
        for part in target.removeprefix("#/").split("/"):
            found = found[part] if isinstance(found, Mapping) else None
        return found

    def _properties(self, properties: Mapping[str, object], _noun: str) -> Check:
        known = {name: self.compile(schema, f"`{name}`") for name, schema in properties.items()}
        plain = {name: _only_type(schema) for name, schema in properties.items()}

        def check(value: object, _at: At, faults: list[Fault], seen: Seen) -> None:
            if not isinstance(value, dict):
                return
            for name, item in value.items():
                if (judge := known.get(name)) is not None:
                    if judge is not _anything and type(item) is not plain[name]:
                        judge(item, (value, name), faults, None)
                    if seen is not None:
                        seen.add(name)

        return check

    def _required(self, names: list[str], noun: str) -> Check:
        said = {name: words(f"{noun} needs `{name}`", f"Add `{name}:`.") for name in names}

        def check(value: object, at: At, faults: list[Fault], _seen: Seen) -> None:
            if isinstance(value, dict):
                for name in names:
                    if name not in value:
                        faults.append(Fault("missing", at, said[name], id(value), frozenset({name})))  # noqa: PERF401 - mostly none

        return check

    def _additional(self, schema: Mapping[str, object], noun: str) -> Check:
        own = schema.get("properties")
        known = frozenset(own) if isinstance(own, Mapping) else frozenset()
        argument = schema["additionalProperties"]
        others = None if argument is False else self.compile(argument, noun)

        def check(value: object, _at: At, faults: list[Fault], seen: Seen) -> None:
            if not isinstance(value, dict):
                return
            for name in value:
                if name not in known:
                    if others is None:
                        faults.append(unknown(value, name, known, noun))
                    else:
                        others(value[name], (value, name), faults, None)
            if seen is not None:
                seen.update(value)

        return check

    def _unevaluated(self, checks: list[Check], known: frozenset[str], noun: str) -> Check:
        def check(value: object, at: At, faults: list[Fault], seen: Seen) -> None:
            judged: set[str] = set()
            for one in checks:
                one(value, at, faults, judged)
            if not isinstance(value, dict):
                return
            faults.extend(unknown(value, name, known, noun) for name in value if name not in judged)
            if seen is not None:
                seen.update(value)

        return check

    def _items(self, schema: object, noun: str) -> Check:
        judge = self.compile(schema, noun)

        def check(value: object, _at: At, faults: list[Fault], _seen: Seen) -> None:
            if isinstance(value, list):
                for index, item in enumerate(value):
                    judge(item, (value, index), faults, None)

        return check

    def _allOf(self, schemas: list[object], noun: str) -> Check:  # noqa: N802 - named as the keyword
        by_value = _by_value(schemas)
        if by_value is None:
            return _all([self.compile(schema, noun) for schema in schemas])
        key, plain, then = by_value
        return _switch(key, self._allOf(plain, noun), {value: self.compile(part, noun) for value, part in then.items()})

    def _anyOf(self, schemas: list[object], noun: str) -> Check:  # noqa: N802
        return _choice(schemas, [self.compile(schema, noun) for schema in schemas], noun, only_one=False)

    def _oneOf(self, schemas: list[object], noun: str) -> Check:  # noqa: N802
        return _choice(schemas, [self.compile(schema, noun) for schema in schemas], noun, only_one=True)

    def _if(self, schema: Mapping[str, object], noun: str) -> Check:
        condition = _plain_condition(schema["if"])
        general = self.compile(schema["if"], noun)
        then, otherwise = self.compile(schema.get("then"), noun), self.compile(schema.get("else"), noun)

        def check(value: object, at: At, faults: list[Fault], seen: Seen) -> None:
            judged: Seen = None if seen is None else set()
            if condition is not None and isinstance(value, dict):
                holds = condition(value, judged)
            else:
                failed: list[Fault] = []
                general(value, at, failed, judged)
                holds = not failed
            if not holds:
                otherwise(value, at, faults, seen)
                return
            if seen is not None and judged:
                seen.update(judged)
            then(value, at, faults, seen)

        return check

    def _not(self, schema: object, noun: str) -> Check:
        denied = self.compile(schema, noun)
        names = sorted(self._required_names(schema))

        def check(value: object, at: At, faults: list[Fault], _seen: Seen) -> None:
            failed: list[Fault] = []
            denied(value, at, failed, None)
            if not failed:
                what = f"{noun} must not have {listed(names)}" if names else f"{label(at)} is not allowed here"
                where: At = (value, names[0]) if names and isinstance(value, Map) else at
                faults.append(Fault("alone", where, words(what, "Take it out.")))

        return check

    def _enum(self, options: list[object], _noun: str) -> Check:
        allowed = [str(option) for option in options]

        def check(value: object, at: At, faults: list[Fault], _seen: Seen) -> None:
            if not any(value == option and type(value) is type(option) for option in options):
                faults.append(Fault("choice", at, lambda: other(value, at, allowed)))

        return check

    def _const(self, constant: object, noun: str) -> Check:
        return self._enum([constant], noun)

    def _pattern(self, pattern: str, _noun: str) -> Check:
        matches = re.compile(pattern).search
        asks, mend = FORMS.get(pattern, ("another form", f"It must match `{pattern}`."))

        def check(value: object, at: At, faults: list[Fault], _seen: Seen) -> None:
            if isinstance(value, str) and not matches(value):
                faults.append(Fault("form", at, words(f"{label(at)} is `{short(value)}`, and must be {asks}", mend)))

        return check

    def _minimum(self, limit: float, _noun: str) -> Check:
        return _number(lambda value: value >= limit, f"at least {limit}")

    def _maximum(self, limit: float, _noun: str) -> Check:
        return _number(lambda value: value <= limit, f"at most {limit}")

    def _exclusiveMinimum(self, limit: float, _noun: str) -> Check:  # noqa: N802
        return _number(lambda value: value > limit, f"more than {limit}")

    def _minItems(self, limit: int, _noun: str) -> Check:  # noqa: N802
        return _length(lambda length: length >= limit, f"at least {limit} {'item' if limit == 1 else 'items'}")

    def _maxItems(self, limit: int, _noun: str) -> Check:  # noqa: N802
        return _length(lambda length: length <= limit, f"at most {limit} items")

    def _uniqueItems(self, wanted: bool, _noun: str) -> Check:  # noqa: N802, FBT001 - the schema's argument
        def check(value: object, at: At, faults: list[Fault], _seen: Seen) -> None:
            if wanted and isinstance(value, list) and len({_identity(item) for item in value}) < len(value):
                faults.append(Fault("form", at, words(f"{label(at)} names the same thing twice", "Keep one of them.")))

        return check

    def _names(self, schema: object) -> frozenset[str]:
        """Every property that the schema knows of, in whatever case."""
        names: set[str] = set()
        todo, done = [schema], set()
        while todo:
            part = todo.pop()
            if not isinstance(part, Mapping) or id(part) in done:
                continue
            done.add(id(part))
            properties = part.get("properties")
            names.update(properties if isinstance(properties, Mapping) else ())
            for keyword in ("allOf", "anyOf", "oneOf"):
                todo.extend(part.get(keyword) or ())
            todo.extend(part.get(keyword) for keyword in ("then", "else"))
            if "$ref" in part:
                todo.append(self._resolve(str(part["$ref"])))
        return frozenset(names)

    def _required_names(self, schema: object) -> frozenset[str]:
        return frozenset(schema.get("required") or ()) if isinstance(schema, Mapping) else frozenset()


def _anything(_value: object, _at: At, _faults: list[Fault], _seen: Seen) -> None:
    """Every value is allowed."""


def _all(checks: list[Check]) -> Check:
    def check(value: object, at: At, faults: list[Fault], seen: Seen) -> None:
        for one in checks:
            one(value, at, faults, seen)

    return check


def _plain_condition(  # noqa: C901 - one shape of schema, taken apart
    schema: object,
) -> Callable[[dict[str, object], Seen], bool] | None:
    """A quick answer for conditions such as `logicalType is string`, which are most; None for others."""
    if not isinstance(schema, Mapping):
        return None
    if list(schema) == ["anyOf"]:
        parts = [_plain_condition(part) for part in schema["anyOf"]]
        if None in parts:
            return None
        return lambda value, seen: bool(sum([part(value, seen) for part in parts if part]))
    properties, required = schema.get("properties", {}), frozenset(schema.get("required", ()))
    if not set(schema) <= {"properties", "required"}:
        return None
    if not all(
        list(judge) in (["const"], ["type"]) and isinstance(next(iter(judge.values())), str)
        for judge in properties.values()
    ):
        return None
    tests = [(name, *next(iter(judge.items()))) for name, judge in properties.items()]

    def holds(value: dict[str, object], seen: Seen) -> bool:
        if not required <= value.keys():
            return False
        for name, keyword, wanted in tests:
            if name in value:
                found = value[name]
                if not (found == wanted if keyword == "const" else _is(found, wanted)):
                    return False
        if seen is not None:
            seen.update(name for name, _, _ in tests if name in value)
        return True

    return holds


def _by_value(schemas: list[object]) -> tuple[str, list[object], dict[str, object]] | None:
    """Conditions on the values of one key, taken together: the key, the other schemas, and what holds by value."""
    plain: list[object] = []
    then: dict[str, object] = {}
    keys: set[str] = set()
    for schema in schemas:
        values = _values_of(schema)
        if values is None:
            plain.append(schema)
            continue
        for key, value in values:
            keys.add(key)
            if value in then:
                return None
            then[value] = schema["then"] if isinstance(schema, Mapping) else None
    return (keys.pop(), plain, then) if len(keys) == 1 and len(then) > 1 else None


def _values_of(schema: object) -> list[tuple[str, str]] | None:
    """Key and value of `if: {properties: {key: {const: value}}, required: [key]}`; several pairs for an `anyOf` of these."""
    if not isinstance(schema, Mapping) or set(schema) != {"if", "then"}:
        return None
    found = []
    for part in schema["if"].get("anyOf", [schema["if"]]):
        properties = part.get("properties", {})
        key = next(iter(properties), "")
        if set(part) != {"properties", "required"} or part["required"] != [key] or list(properties[key]) != ["const"]:
            return None
        found.append((key, properties[key]["const"]))
    return found


def _switch(key: str, always: Check, then: Mapping[str, Check]) -> Check:
    def check(value: object, at: At, faults: list[Fault], seen: Seen) -> None:
        always(value, at, faults, seen)
        chosen = value.get(key) if isinstance(value, dict) else None
        if isinstance(chosen, str) and (judge := then.get(chosen)) is not None:
            if seen is not None:
                seen.add(key)
            judge(value, at, faults, seen)

    return check


def _only_type(schema: object) -> type | None:
    """The type of the values about which the schema says nothing else; None when it says more."""
    if not isinstance(schema, Mapping) or set(schema) - IGNORED != {"type"}:
        return None
    return USUAL.get(schema["type"]) if isinstance(schema["type"], str) else None


def _typed(wanted: object, checks: list[Check]) -> Check:
    """The type first: what is said about a value of the wrong type would only confuse."""
    names = [wanted] if isinstance(wanted, str) else [str(name) for name in wanted] if isinstance(wanted, list) else []
    spoken = " or ".join(TYPES[name] for name in names)
    usual = USUAL.get(names[0])

    def check(value: object, at: At, faults: list[Fault], seen: Seen) -> None:
        if type(value) is not usual and not any(_is(value, name) for name in names):
            faults.append(
                Fault(
                    "type",
                    at,
                    lambda: (f"{label(at)} must be {spoken}, not {described(value)}", retype(value, names)),
                )
            )
            return
        for one in checks:
            one(value, at, faults, seen)

    return check


def _choice(schemas: list[object], branches: list[Check], noun: str, *, only_one: bool) -> Check:
    """At least one branch, or exactly one; when none fits, what the nearest one says."""
    needs = [
        frozenset(schema.get("required") or ()) if isinstance(schema, Mapping) else frozenset() for schema in schemas
    ]

    def check(value: object, at: At, faults: list[Fault], seen: Seen) -> None:
        passed: list[set[str]] = []
        for branch, needed in zip(branches, needs, strict=True):
            if needed and isinstance(value, dict) and not needed <= value.keys():
                continue  # cannot fit, and most branches are left here
            failed: list[Fault] = []
            judged: set[str] = set()
            branch(value, at, failed, judged)
            if not failed:
                passed.append(judged)
        if seen is not None and passed:
            seen.update(*passed)
        if only_one and len(passed) > 1:
            names = sorted(set().union(*passed) - set.intersection(*passed))
            where = (value, names[-1]) if names and isinstance(value, Map) else at
            faults.append(
                Fault("alone", where, words(f"{noun} can have only one of {listed(names)}", "Keep one of them."))
            )
        elif not passed:
            faults.extend(_explained(branches, value, at, noun, seen))

    return check


def _explained(branches: list[Check], value: object, at: At, noun: str, seen: Seen) -> list[Fault]:
    outcomes: list[list[Fault]] = []
    for branch in branches:
        failed: list[Fault] = []
        branch(value, at, failed, seen)
        outcomes.append(failed)
    return _nearest_branch(outcomes, at, noun, id(value))


def _nearest_branch(outcomes: list[list[Fault]], at: At, noun: str, owner: int) -> list[Fault]:
    fitting = [faults for faults in outcomes if not any(fault.kind == "type" and fault.at == at for fault in faults)]
    if not fitting:
        return outcomes[0][:1]
    complete = [
        faults for faults in fitting if not any(fault.kind == "missing" and fault.owner == owner for fault in faults)
    ]
    if complete:
        return min(complete, key=len)
    names = frozenset().union(*(fault.names for faults in fitting for fault in faults if fault.kind == "missing"))
    if len(fitting) == 1 or not names:
        return min(fitting, key=len)
    said = words(f"{noun} needs one of {listed(sorted(names))}", "Add the one that says what you mean.")
    return [Fault("missing", at, said, owner, names)]


def _number(fits: Callable[[float], bool], asks: str) -> Check:
    def check(value: object, at: At, faults: list[Fault], _seen: Seen) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool) and not fits(value):
            faults.append(Fault("form", at, words(f"{label(at)} must be {asks}, not {value}", "Change the number.")))

    return check


def _length(fits: Callable[[int], bool], asks: str) -> Check:
    def check(value: object, at: At, faults: list[Fault], _seen: Seen) -> None:
        if isinstance(value, list) and not fits(len(value)):
            what = f"{label(at)} must have {asks}, not {len(value)}"
            faults.append(Fault("form", at, words(what, "Complete or shorten the list.")))

    return check


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    match name:
        case "string":
            return isinstance(value, str)
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "integer":
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        case "number":
            return isinstance(value, int | float)
        case _:
            return name == "null" and value is None


def _identity(value: object) -> str:
    return json.dumps(value, sort_keys=True)
