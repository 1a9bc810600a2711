"""Values and schemas of an API document."""

from typing import Any

from openapi_schema_validator import OAS31Validator
from openapi_schema_validator import validate as validate_value


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """What ``value`` is, or what it refers to."""
    while "$ref" in value:
        found: Any = document
        for key in value["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        value = found
    return value


def check(value: object, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Validate ``value`` against a schema of the document."""
    validate_value(value, schema | {"components": document["components"]}, cls=OAS31Validator)
