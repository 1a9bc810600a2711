"""Sources of settings: environment variables and a TOML file."""

import json
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, TomlConfigSettingsSource

PREFIX = "JOBBERGATE_"
NESTING_DELIMITER = "__"


class Environment(EnvSettingsSource):
    """The variables `JOBBERGATE_<table>__<key>`; other programs own variables without two underscores."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        prefix = PREFIX.lower()
        self.env_vars = {
            name: value
            for name, value in self.env_vars.items()
            if name.startswith(prefix) and NESTING_DELIMITER in name.removeprefix(prefix)
        }

    def __call__(self) -> dict[str, Any]:
        """Return the tables, including unknown ones, which the validation rejects."""
        found = super().__call__()
        for name in self.env_vars:
            found.setdefault(name.removeprefix(PREFIX.lower()).partition(NESTING_DELIMITER)[0], {})
        if "plugins" in found:
            found["plugins"] = {name: self._decoded(value) for name, value in found["plugins"].items()}
        return found

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the list in a JSON text; return other text unchanged, which the validation rejects by its key."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value

    def _decoded(self, value: Any) -> Any:  # noqa: ANN401 - likewise
        """Return a setting of a plugin, whose model is not loaded yet; parse JSON objects and arrays."""
        if isinstance(value, dict):
            return {name: self._decoded(inner) for name, inner in value.items()}
        if isinstance(value, str) and value.startswith(("[", "{")):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value


class File(TomlConfigSettingsSource):
    """The TOML file; the name of a plugin's table is its slug, with `-` or `_`."""

    def __call__(self) -> dict[str, Any]:
        """Return the tables."""
        found = super().__call__()
        if isinstance(tables := found.get("plugins"), dict):
            found = {**found, "plugins": {slug.replace("-", "_"): table for slug, table in tables.items()}}
        return found
