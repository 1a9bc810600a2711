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
from jobbergate_server.settings_sources import LEVEL, PREFIX, Environment, File

POSTGRES_OPTIONS = ("host", "sslmode")
MEMORY = "memory:///"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine and no other."""
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
            raise ValueError(f"must name something after {text}")
        return url

    return check


def _files(url: SecretStr) -> SecretStr:
    return url if url.get_secret_value() == MEMORY else _scheme("file:///", "s3://")(url)


def _postgres(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith("postgresql:"):
        return url
    try:
        parts = urlsplit(url.get_secret_value())
        complete = parts.port != 0 and len(parts.path) > 1
    except ValueError:
        # Python's text quotes what stands in the place of the port, which may be a part of the password.
        complete = False
    options = dict(parse_qsl(parts.query)) if complete else {}
    if not complete or not (parts.hostname or options.get("host")):
        raise ValueError(
            "must have the form postgresql://user:password@host:port/name, with special characters percent-encoded"
        )
    if not options.keys() <= set(POSTGRES_OPTIONS):
        raise ValueError(f"may have the options {' and '.join(POSTGRES_OPTIONS)}, and no others")
    return url


Text = Annotated[str, AfterValidator(_not_blank)]


class Section(BaseModel):
    """A table of settings; unknown keys are errors. Plugins derive theirs from it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


class Database(Section):
    """Where rows are stored."""

    url: Annotated[SecretStr, AfterValidator(_scheme("sqlite:///", "postgresql://")), AfterValidator(_postgres)] = (
        SecretStr("sqlite:///var/jobbergate.db")
    )
    """`sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user:password@host:port/name`."""
    pool_size: PositiveInt = 8
    """The most connections that one process holds to PostgreSQL."""
    migrate_on_start: bool = False
    """Whether `serve` brings the schema up to date itself instead of refusing to start on an old one."""


class Files(Section):
    """Where the contents of files are stored."""

    url: Annotated[SecretStr, AfterValidator(_files)] = SecretStr("file:///var/files")
    """`file:///relative/path`, `file:////absolute/path` or `s3://bucket/prefix`; `memory:///` is for tests."""


class Oidc(Section):
    """Whose tokens are accepted."""

    issuer: Annotated[str, AfterValidator(_issuer)] | None = None
    """The issuer URL of the OpenID Connect provider, exactly as in the `iss` of its tokens; `serve` requires it."""
    audience: Text | None = None
    """What the `aud` of a token must contain; without it, a token that carries an `aud` is refused."""
    algorithms: Annotated[list[Annotated[str, AfterValidator(_algorithm)]], Field(min_length=1)] = [
        "RS256",
        "ES256",
        "Ed25519",
    ]
    """The signature algorithms that are accepted; symmetric ones are not possible."""
    leeway: Annotated[float, Field(ge=0, le=300)] = 10
    """Seconds by which the clocks of provider and server may differ."""
    keys_max_age: PositiveFloat = 3600
    """Seconds after which the provider's keys are fetched again; a withdrawn key works no longer than this."""
    permissions_claim: Annotated[list[Text], Field(min_length=1)] = ["permissions"]
    """The keys that lead to the list of permissions in a token: `["resource_access", "jobbergate", "roles"]` for
    Keycloak's roles of the client `jobbergate`."""
    roles: dict[str, list[Text]] = {}
    """The permissions of a role, by its name in that list: `{"staff" = ["jobbergate:job-scripts:view"]}`; a name
    without an entry is a permission itself."""


class Server(Section):
    """Where `serve` and `dev` listen."""

    host: Text = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen on."""
    workers: PositiveInt = 1
    """How many processes serve."""


class Cors(Section):
    """Which web pages of other origins may call the API."""

    origins: list[Annotated[str, AfterValidator(_origin)]] = []
    """Origins such as `https://portal.example.com`, or `*` for every one (then without credentials)."""


class Limits(Section):
    """How much one request may ask for."""

    max_upload_size: ByteSize = ByteSize(104_857_600)
    """The most bytes in one upload."""
    max_page_size: PositiveInt = 10_000
    """The most rows in one answer."""
    total_max_age: Annotated[float, Field(ge=0, le=3600)] = 1
    """Seconds for which the total of a list is remembered; 0 counts the rows for every answer."""


class Events(Section):
    """How long events are kept: the audit log, and what plugins react to."""

    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 90
    """Days after which events are deleted."""


class Log(Section):
    """What is written to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """The least level that is written."""
    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""


class Plugins(BaseModel):
    """Which of the installed plugins run, and a table `plugins.<slug>` of settings for each."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    disabled: list[str] = []
    """Slugs of installed plugins that are left out."""
    optional: list[str] = []
    """Slugs of plugins that are left out when they fail, instead of stopping the start."""
    start_timeout: PositiveFloat = 30
    """Seconds that each hook of a plugin has when the server starts."""

    def tables(self) -> dict[str, Any]:
        """The tables of the plugins, by slug with `-` written as `_`."""
        return dict(self.model_extra or {})


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=LEVEL,
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
        """Arguments win over the environment, the environment over the file."""
        return init_settings, Environment(settings_cls), File(settings_cls)


def load_settings(file: Path | None = None, **overrides: Mapping[str, object]) -> Settings:
    """Read the settings from ``file`` (TOML), the environment over it, and ``overrides`` over both.

    Raises:
        SettingsError: A key is unknown or a value is not valid; or the file cannot be read.
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
    "list_type": "must be a list; in the environment, one in JSON",
    "dict_type": "must be a table; in the environment, an object in JSON",
}
"""What pydantic says in the words of Python."""


def problems(error: ValidationError, *prefix: str) -> list[str]:
    """A line for each problem: the dotted name of the key and what is wrong with it, never its value."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in (*prefix, *problem["loc"]))
        message = MESSAGES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        lines.append(f"{key}: {message}")
    return lines


def subtable(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a setting that is a table of settings; None for a single one."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def environment_name(*key: str) -> str:
    """The environment variable that sets ``key``.

    >>> environment_name("database", "url")
    'JOBBERGATE_DATABASE__URL'
    """
    return PREFIX + LEVEL.join(part.replace("-", "_").upper() for part in key)


def path_of(url: str) -> Path:
    """The path in a `sqlite:///` or `file:///` URL: three slashes are relative, four absolute."""
    return Path(os.fsdecode(url.split(":///", 1)[1]))
