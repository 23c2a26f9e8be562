"""Examples of whole bodies, put together from the examples that stand beside the fields in the code."""

from collections.abc import Mapping
from typing import Any

from local.terminal import Failure

Schema = Mapping[str, Any]


def example_of(schema: Schema, schemas: Mapping[str, Schema], where: str) -> Any:
    """An example of a schema; a Failure names the field that has none."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example_of(schemas[name], schemas, name)
    for given in ("examples", "enum"):
        if given in schema:
            return schema[given][0]
    for given in ("const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return example_of(schema[choice][0], schemas, where)
    match schema.get("type"):
        case "null":
            return None
        case "array":
            return [] if schema.get("maxItems") == 0 else [example_of(schema["items"], schemas, where)]
        case "object" if "properties" in schema:
            return {name: example_of(field, schemas, f"{where}.{name}") for name, field in schema["properties"].items()}
    raise Failure(f"{where} needs an example beside it in the code, for the API document")
