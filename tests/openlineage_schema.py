"""Is this an event of OpenLineage? Judged by JSON Schemas.

`problems` takes them from the classes of `openlineage-python`, which are generated from the specification and name the
schema that each was made of. `published` takes the specification's own files, from a folder that `OPENLINEAGE_SPEC` names
(`spec/` of the OpenLineage repository): they ship in no package, so that only who has them can be asked.
"""

import enum
import json
import os
import types
import typing
from functools import cache
from pathlib import Path

import attr
import jsonschema
from openlineage.client import event_v2, facet_v2
from openlineage.client.generated import base

FORMATS = {
    "eventTime": "date-time",
    "runId": "uuid",
    "nominalStartTime": "date-time",
    "producer": "uri",
    "_producer": "uri",
    "schemaURL": "uri",
    "_schemaURL": "uri",
    "url": "uri",
}
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}
checker = jsonschema.FormatChecker()


@checker.checks("uri", raises=ValueError)
def _is_uri(value):
    """Absolute, with nothing in it that must be escaped."""
    scheme, colon, rest = value.partition(":")
    if not (scheme.isalnum() and colon and rest) or any(sign in value for sign in ' "<>\\^`{|}'):
        raise ValueError(value)
    return True


@checker.checks("date-time", raises=ValueError)
def _is_moment(value):
    """With a date, a time and a zone."""
    from datetime import datetime

    if datetime.fromisoformat(value).tzinfo is None or "T" not in value:
        raise ValueError(value)
    return True


@cache
def facets():
    """Every facet's class, by the URL of the schema that it was made of."""
    found = {}
    for module in vars(facet_v2).values():
        if isinstance(module, types.ModuleType):
            for kind in vars(module).values():
                if isinstance(kind, type) and issubclass(kind, base.BaseFacet) and kind.__module__ == module.__name__:
                    found[kind._get_schema()] = kind
    return found


def problems(event):
    """What is wrong with an event, by the library's classes; nothing when it is right."""
    found = _judge(event, event_v2.RunEvent, "event")
    places = [event["run"].get("facets", {}), event["job"].get("facets", {})]
    kinds = [base.RunFacet, base.JobFacet]
    for dataset, kind, own in [
        *((each, base.InputDatasetFacet, "inputFacets") for each in event.get("inputs", [])),
        *((each, base.OutputDatasetFacet, "outputFacets") for each in event.get("outputs", [])),
    ]:
        places += [dataset.get("facets", {}), dataset.get(own, {})]
        kinds += [base.DatasetFacet, kind]
    for place, kind in zip(places, kinds, strict=True):
        for name, facet in place.items():
            known = facets().get(facet.get("_schemaURL"))
            if known is None or not issubclass(known, kind):
                found.append(f"{name}: {facet.get('_schemaURL')} is no {kind.__name__}")
            else:
                found += _judge(facet, known, name)
    return found


def _judge(value, kind, name):
    validator = jsonschema.Draft202012Validator(schema_of(kind), format_checker=checker)
    return [f"{name}{each.json_path[1:]}: {each.message}" for each in validator.iter_errors(value)]


@cache
def schema_of(kind):
    """The JSON Schema of a class: its fields, which of them are needed, and their types. Facets within are asked apart."""
    parts = {}
    _add(kind, parts)
    return {"$ref": f"#/$defs/{kind.__name__}", "$defs": parts}


def _add(kind, parts):
    if kind.__name__ in parts:
        return
    hints = typing.get_type_hints(kind)
    told = parts[kind.__name__] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    for field in attr.fields(kind):
        name = field.name
        told["properties"][name] = (
            {} if name in ("facets", "inputFacets", "outputFacets") else _type(hints[name], parts)
        )
        if name in FORMATS and told["properties"][name].get("type") == "string":
            told["properties"][name]["format"] = FORMATS[name]
        if field.default is attr.NOTHING or name in ("producer", "_producer", "schemaURL", "_schemaURL"):
            told["required"].append(name)


def _type(hint, parts):
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    inner = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is list:
        return {"type": "array", "items": _type(inner[0], parts)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(inner[1], parts)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_type(part, parts) for part in inner if part is not type(None)]}  # what is None is left out
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [each.value for each in hint]}
    if isinstance(hint, type) and attr.has(hint):
        _add(hint, parts)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    return {}


def published(event):
    """What is wrong with an event, by the specification's own files; nothing without them."""
    folder = os.environ.get("OPENLINEAGE_SPEC")
    if not folder:
        return []
    from referencing import Registry, Resource

    files = [
        json.loads(path.read_text())
        for path in [Path(folder, "OpenLineage.json"), *Path(folder, "facets").glob("*.json")]
    ]
    by_name = {told["$id"].rpartition("/")[2]: told for told in files}
    registry = Registry().with_resources([(told["$id"], Resource.from_contents(told)) for told in files])

    def judge(value, told, name):
        validator = jsonschema.Draft202012Validator(told, registry=registry, format_checker=checker)
        return [f"{name}{each.json_path[1:]}: {each.message}" for each in validator.iter_errors(value)]

    found = judge(event, by_name["OpenLineage.json"], "event")
    places = [event["run"].get("facets", {}), event["job"].get("facets", {})]
    for dataset in [*event.get("inputs", []), *event.get("outputs", [])]:
        places += [dataset.get(key, {}) for key in ("facets", "inputFacets", "outputFacets")]
    for place in places:
        for name, facet in place.items():
            told = by_name[facet["_schemaURL"].partition("#")[0].rpartition("/")[2]]
            found += judge({name: facet}, told, "")
            if name not in told["properties"]:
                found.append(f"{name} is not what the specification calls it: {list(told['properties'])}")
    return found
