"""Sources of settings: environment variables and a TOML file."""

import json
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, TomlConfigSettingsSource

PREFIX = "JOBBERGATE_"
LEVEL = "__"


class Environment(EnvSettingsSource):
    """The variables `JOBBERGATE_<table>__<key>`; those without two underscores belong to other programs."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        prefix = PREFIX.lower()
        self.env_vars = {
            name: value
            for name, value in self.env_vars.items()
            if name.startswith(prefix) and LEVEL in name.removeprefix(prefix)
        }

    def __call__(self) -> dict[str, Any]:
        """The tables; those that the server does not know as well, so that they are refused."""
        found = super().__call__()
        for name in self.env_vars:
            found.setdefault(name.removeprefix(PREFIX.lower()).partition(LEVEL)[0], {})
        if "plugins" in found:
            found["plugins"] = {name: self._decoded(value) for name, value in found["plugins"].items()}
        return found

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: str) -> Any:  # noqa: ANN401 - any JSON
        """A list from its JSON; what is none is left as it is, and refused under the name of its key."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value

    def _decoded(self, value: Any) -> Any:  # noqa: ANN401 - likewise
        """A setting of a plugin, whose model is not known yet: what looks like JSON is taken as JSON."""
        if isinstance(value, dict):
            return {name: self._decoded(inner) for name, inner in value.items()}
        if isinstance(value, str) and value.startswith(("[", "{")):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value


class File(TomlConfigSettingsSource):
    """The TOML file; a plugin's table may have the slug's name in both spellings."""

    def __call__(self) -> dict[str, Any]:
        """The tables."""
        found = super().__call__()
        if isinstance(tables := found.get("plugins"), dict):
            found = {**found, "plugins": {slug.replace("-", "_"): table for slug, table in tables.items()}}
        return found
