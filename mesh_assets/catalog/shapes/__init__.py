"""What the pages' JSON holds, key by key: OpenAPI is made of this, and a test holds every answer to it."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter


def schemas(shapes: Mapping[str, Any], *, refer: str) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Shapes as JSON Schema.

    Args:
        shapes: By any name.
        refer: How one schema refers to another, such as `#/components/schemas/{model}`.

    Returns:
        The schema of each, by its name; and all that they refer to.
    """
    adapters = [(name, "serialization", TypeAdapter(shape)) for name, shape in shapes.items()]
    found, shared = TypeAdapter.json_schemas(adapters, ref_template=refer)  # ty: ignore
    return {name: schema for (name, _), schema in found.items()}, shared.get("$defs", {})
