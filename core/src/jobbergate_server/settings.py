"""The settings of the server and of its plugins: one validated tree from a TOML file and the environment."""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from jobbergate_server.errors import SettingsError
from jobbergate_server.settings_sources import NESTING_DELIMITER, PREFIX, Environment, File

POSTGRES_OPTIONS = ("host", "sslmode")
MEMORY_URL = "memory:///"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")


def is_loopback(host: str) -> bool:
    """Return whether ``host`` is a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _issuer(url: str) -> str:
    parts = urlsplit(_not_blank(url))
    if not parts.hostname or parts.scheme not in {"http", "https"}:
        raise ValueError("must be an http(s) URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be an https URL; http is for loopback only")
    return url


def _algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")
    return name


def _origin(text: str) -> str:
    if text != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", text):
        raise ValueError("must be * or an origin such as https://portal.example.com, without a path")
    return text


def _scheme(*allowed: str) -> Callable[[SecretStr], SecretStr]:
    def check(url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if not text.startswith(allowed):
            raise ValueError(f"must begin with {' or '.join(allowed)}")
        if text in allowed:
            raise ValueError(f"must not be empty after {text}")
        return url

    return check


def _files(url: SecretStr) -> SecretStr:
    return url if url.get_secret_value() == MEMORY_URL else _scheme("file:///", "s3://")(url)


def _postgres(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith("postgresql:"):
        return url
    try:
        parts = urlsplit(url.get_secret_value())
        complete = parts.port != 0 and len(parts.path) > 1
    except ValueError:
        # Python's message quotes the invalid port, which may be a part of the password.
        complete = False
    options = dict(parse_qsl(parts.query)) if complete else {}
    if not complete or not (parts.hostname or options.get("host")):
        raise ValueError(
            "must be of the form postgresql://user:password@host:port/name, with special characters percent-encoded"
        )
    if not options.keys() <= set(POSTGRES_OPTIONS):
        raise ValueError(f"must not contain options other than {' and '.join(POSTGRES_OPTIONS)}")
    return url


Text = Annotated[str, AfterValidator(_not_blank)]


class Section(BaseModel):
    """A table of settings that rejects unknown keys; the base class of plugins' settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Database(Section):
    """The database."""

    url: Annotated[SecretStr, AfterValidator(_scheme("sqlite:///", "postgresql://")), AfterValidator(_postgres)] = (
        SecretStr("sqlite:///var/jobbergate.db")
    )
    """`sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user:password@host:port/name`."""
    pool_size: PositiveInt = 8
    """The maximum number of connections of one process to PostgreSQL."""
    migrate_on_start: bool = False
    """Whether `serve` migrates an outdated schema; otherwise it does not start."""


class Files(Section):
    """The file store."""

    url: Annotated[SecretStr, AfterValidator(_files)] = SecretStr("file:///var/files")
    """`file:///relative/path`, `file:////absolute/path` or `s3://bucket/prefix`; `memory:///` is for tests."""


class Oidc(Section):
    """The OpenID Connect provider and the validation of its tokens."""

    issuer: Annotated[str, AfterValidator(_issuer)] | None = None
    """The issuer URL of the OpenID Connect provider, exactly as in the `iss` of its tokens; `serve` requires it."""
    audience: Text | None = None
    """The required audience in the `aud` of a token; if unset, tokens with an `aud` are rejected."""
    algorithms: Annotated[list[Annotated[str, AfterValidator(_algorithm)]], Field(min_length=1)] = [
        "RS256",
        "ES256",
        "Ed25519",
    ]
    """The accepted signature algorithms; symmetric algorithms are not supported."""
    leeway: Annotated[float, Field(ge=0, le=300)] = 10
    """The tolerated clock difference between provider and server, in seconds."""
    keys_max_age: PositiveFloat = 3600
    """The maximum age of the provider's cached keys, in seconds; a withdrawn key expires within this time."""
    permissions_claim: Annotated[list[Text], Field(min_length=1)] = ["permissions"]
    """The path of keys to the list of permissions in a token: `["resource_access", "jobbergate", "roles"]` for
    Keycloak's roles of the client `jobbergate`."""
    roles: dict[str, list[Text]] = {}
    """The permissions of each role in that list: `{"staff" = ["jobbergate:job-scripts:view"]}`. Names without an entry
    are permissions."""


class Server(Section):
    """The HTTP server of `serve` and `dev`."""

    host: Text = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen on."""
    workers: PositiveInt = 1
    """The number of worker processes."""


class Cors(Section):
    """Cross-origin access of web pages to the API."""

    origins: list[Annotated[str, AfterValidator(_origin)]] = []
    """The allowed origins, such as `https://portal.example.com`; `*` allows every origin, without credentials."""


class Limits(Section):
    """Limits of one request."""

    max_upload_size: ByteSize = ByteSize(104_857_600)
    """The maximum size of one upload, in bytes."""
    max_page_size: PositiveInt = 10_000
    """The maximum number of rows in one response."""
    total_max_age: Annotated[float, Field(ge=0, le=3600)] = 1
    """The maximum age of a list's cached total, in seconds; 0 disables the cache."""


class Events(Section):
    """The event log: the source of the audit log and of plugins' reactions."""

    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    """The retention period of events, in days."""


class Log(Section):
    """The log on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """The minimum level of logged events."""
    format: Literal["text", "json"] = "text"
    """The log format: readable text, or one JSON object a line."""


class Plugins(BaseModel):
    """The installed plugins; each one reads its settings from the table `plugins.<slug>`."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    disabled: list[str] = []
    """Slugs of installed plugins that are not loaded."""
    optional: list[str] = []
    """Slugs of plugins whose failure does not prevent the start of the server."""
    start_timeout: PositiveFloat = 30
    """The time limit for each hook of a plugin at the start of the server, in seconds."""

    def tables(self) -> dict[str, Any]:
        """Return the tables of the plugins, by slug with `-` written as `_`."""
        return dict(self.model_extra or {})


class Settings(BaseSettings):
    """All settings of an operator."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTING_DELIMITER,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    database: Database = Database()
    files: Files = Files()
    oidc: Oidc = Oidc()
    server: Server = Server()
    cors: Cors = Cors()
    limits: Limits = Limits()
    events: Events = Events()
    log: Log = Log()
    plugins: Plugins = Plugins()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the interface
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the interface
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - part of the interface
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order: arguments override the environment, which overrides the file."""
        return init_settings, Environment(settings_cls), File(settings_cls)


def load_settings(file: Path | None = None, **overrides: Mapping[str, object]) -> Settings:
    """Read the settings from ``file`` (TOML), the environment over it, and ``overrides`` over both.

    Raises:
        SettingsError: A key is unknown, a value is not valid, or the file is not readable.
    """

    class FileSettings(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    if file is not None and not file.is_file():
        raise SettingsError(f"{file}: no such file")
    try:
        return FileSettings(**overrides)  # type: ignore[arg-type]  # pydantic validates them
    except ValidationError as error:
        raise SettingsError("\n".join(problems(error))) from None
    except (ValueError, OSError) as error:  # tomllib's errors are ValueErrors
        raise SettingsError(f"{file}: {error}") from None


MESSAGES = {
    "extra_forbidden": "unknown key",
    "missing": "must be set",
    "model_type": "must be a table",
    "list_type": "must be a list; in an environment variable, a JSON array",
    "dict_type": "must be a table; in an environment variable, a JSON object",
}
"""Messages for TOML instead of pydantic's for Python, by the type of error."""


def problems(error: ValidationError, *prefix: str) -> list[str]:
    """Return a line for each problem: the dotted name of the key and the error, never the value."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in (*prefix, *problem["loc"]))
        message = MESSAGES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        lines.append(f"{key}: {message}")
    return lines


def subtable(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a setting that is a table; None for a single value."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def environment_name(*key: str) -> str:
    """Return the name of the environment variable that sets ``key``.

    >>> environment_name("database", "url")
    'JOBBERGATE_DATABASE__URL'
    """
    return PREFIX + NESTING_DELIMITER.join(part.replace("-", "_").upper() for part in key)


def path_of(url: str) -> Path:
    """Return the path in a `sqlite:///` or `file:///` URL: three slashes are relative, four absolute."""
    return Path(os.fsdecode(url.split(":///", 1)[1]))
