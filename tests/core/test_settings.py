"""Settings: where they come from, what is refused, and that no text shows a secret."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobbergate_server.database.connection import connection_config
from jobbergate_server.errors import SettingsError
from jobbergate_server.settings import Settings, environment_name, load_settings, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("clean_environment")

PASSWORD = "hunter2"  # noqa: S105 - to be looked for in texts

# Section 3 of the specification: each name, a value in the environment, and what is read.
FIXED: Mapping[str, tuple[str, object]] = {
    "database.url": ("sqlite:////srv/jobbergate.db", "sqlite:////srv/jobbergate.db"),
    "database.pool_size": ("7", 7),
    "database.migrate_on_start": ("true", True),
    "files.url": ("s3://bucket/prefix", "s3://bucket/prefix"),
    "oidc.issuer": ("https://idp.example.com/realms/a", "https://idp.example.com/realms/a"),
    "oidc.audience": ("jobbergate", "jobbergate"),
    "oidc.algorithms": ('["ES256"]', ["ES256"]),
    "oidc.leeway": ("0.5", 0.5),
    "oidc.keys_max_age": ("60", 60),
    "oidc.permissions_claim": ('["realm_access", "roles"]', ["realm_access", "roles"]),
    "oidc.roles": ('{"Staff": ["a:read"]}', {"Staff": ["a:read"]}),
    "server.host": ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - a value like any other
    "server.port": ("9000", 9000),
    "server.workers": ("4", 4),
    "cors.origins": (
        '["https://a.example.com", "http://localhost:3000"]',
        ["https://a.example.com", "http://localhost:3000"],
    ),
    "limits.max_upload_size": ("10MiB", 10 * 2**20),
    "limits.max_page_size": ("50", 50),
    "limits.total_max_age": ("0.5", 0.5),
    "events.keep_days": ("7", 7),
    "log.level": ("DEBUG", "DEBUG"),
    "log.format": ("json", "json"),
    "plugins.disabled": ('["job-scripts"]', ["job-scripts"]),
    "plugins.optional": ('["job-scripts"]', ["job-scripts"]),
    "plugins.start_timeout": ("2.5", 2.5),
}


@pytest.fixture
def environment(clean_environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return clean_environment


def written(folder: Path, text: str) -> Path:
    file = folder / "jobbergate.toml"
    file.write_text(text)
    return file


def refused(file: Path | None = None) -> str:
    with pytest.raises(SettingsError) as failure:
        load_settings(file)
    return str(failure.value)


def value(settings: Settings, name: str) -> object:
    table, key = name.split(".")
    found: object = getattr(getattr(settings, table), key)
    return found.get_secret_value() if hasattr(found, "get_secret_value") else found


def test_without_file_and_environment_the_server_keeps_everything_under_var() -> None:
    settings = load_settings()
    assert value(settings, "database.url") == "sqlite:///var/jobbergate.db"
    assert value(settings, "files.url") == "file:///var/files"
    assert settings.oidc.issuer is None
    assert (settings.server.host, settings.server.port, settings.server.workers) == ("127.0.0.1", 8000, 1)
    assert settings.oidc.algorithms == ["RS256", "ES256", "Ed25519"]
    assert (settings.oidc.permissions_claim, settings.oidc.roles) == (["permissions"], {})
    assert settings.cors.origins == []


@pytest.mark.parametrize("name", FIXED)
def test_every_fixed_name_is_read_from_the_environment(environment: pytest.MonkeyPatch, name: str) -> None:
    text, expected = FIXED[name]
    environment.setenv(environment_name(*name.split(".")), text)
    assert value(load_settings(), name) == expected


def test_the_fixed_names_are_all_the_settings_there_are() -> None:
    tables = Settings.model_fields
    names = {f"{table}.{key}" for table in tables for key in tables[table].default.__class__.model_fields}
    assert names == set(FIXED)


def test_the_environment_wins_over_the_file_and_arguments_over_both(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = written(tmp_path, '[server]\nhost = "127.0.0.2"\nport = 1\nworkers = 2\n')
    environment.setenv("JOBBERGATE_SERVER__PORT", "2")
    environment.setenv("JOBBERGATE_SERVER__WORKERS", "3")
    server = load_settings(file, server={"workers": 4}).server
    assert (server.host, server.port, server.workers) == ("127.0.0.2", 2, 4)


def test_the_table_of_a_plugin_may_come_in_parts_and_its_lists_as_json(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = written(tmp_path, '[plugins.job-scripts]\nshell = "bash"\nlimit = 1\n')
    environment.setenv("JOBBERGATE_PLUGINS__JOB_SCRIPTS__LIMIT", "2")
    environment.setenv("JOBBERGATE_PLUGINS__JOB_SCRIPTS__HOSTS", '["a", "b"]')
    environment.setenv("JOBBERGATE_PLUGINS__JOB_SCRIPTS__NOTE", "[draft")
    assert load_settings(file).plugins.tables() == {
        "job_scripts": {"shell": "bash", "limit": "2", "hosts": ["a", "b"], "note": "[draft"}
    }


def test_variables_of_other_programs_are_left_alone(environment: pytest.MonkeyPatch) -> None:
    for name in ("CACHE_DIR", "TEST_POSTGRES_URL", "DATABASE_URL", "DATABASE", "SERVER", "PLUGINS"):
        environment.setenv(f"JOBBERGATE_{name}", PASSWORD)
    environment.setenv("XJOBBERGATE_SERVER__PORT", "no port")
    assert load_settings().model_dump() == Settings().model_dump()
    assert load_settings().server.port == 8000


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("DATABASE__URLL", "x", "database.urll: unknown key"),
        ("DATABASES__URL", "x", "databases: unknown key"),
        ("DATABASE__URL__X", PASSWORD, "database.url: Input should be a valid string"),
        ("DATABASE__URL", "", "database.url: must begin with sqlite:/// or postgresql://"),
        ("DATABASE__URL", "sqlite:///", "database.url: must not be empty after sqlite:///"),
        (
            "DATABASE__URL",
            f"mysql://user:{PASSWORD}@db/name",
            "database.url: must begin with sqlite:/// or postgresql://",
        ),
        ("FILES__URL", "s3://", "files.url: must not be empty after s3://"),
        ("FILES__URL", "/var/files", "files.url: must begin with file:/// or s3://"),
        ("OIDC__ISSUER", "", "oidc.issuer: must not be blank"),
        ("OIDC__ISSUER", "  ", "oidc.issuer: must not be blank"),
        ("OIDC__ISSUER", "idp.example.com", "oidc.issuer: must be an http(s) URL"),
        ("OIDC__ISSUER", "https://", "oidc.issuer: must be an http(s) URL"),
        ("OIDC__AUDIENCE", "", "oidc.audience: must not be blank"),
        (
            "OIDC__ALGORITHMS",
            '["RS256", "HS256"]',
            (
                "oidc.algorithms.1: must be one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, "
                "Ed25519, EdDSA"
            ),
        ),
        ("OIDC__ALGORITHMS", '["none"', "oidc.algorithms: must be a list; in an environment variable, a JSON array"),
        ("OIDC__ALGORITHMS", "[]", "oidc.algorithms: List should have at least 1 item after validation, not 0"),
        (
            "OIDC__PERMISSIONS_CLAIM",
            "a",
            "oidc.permissions_claim: must be a list; in an environment variable, a JSON array",
        ),
        (
            "OIDC__PERMISSIONS_CLAIM",
            "[]",
            "oidc.permissions_claim: List should have at least 1 item after validation, not 0",
        ),
        ("OIDC__PERMISSIONS_CLAIM", '["a", ""]', "oidc.permissions_claim.1: must not be blank"),
        ("OIDC__ROLES", "staff", "oidc.roles: must be a table; in an environment variable, a JSON object"),
        (
            "OIDC__ROLES",
            '{"staff": "a:read"}',
            "oidc.roles.staff: must be a list; in an environment variable, a JSON array",
        ),
        ("OIDC__ROLES", '{"staff": [" "]}', "oidc.roles.staff.0: must not be blank"),
        ("SERVER__HOST", "", "server.host: must not be blank"),
        ("SERVER__PORT", "", "server.port: Input should be a valid integer, unable to parse string as an integer"),
        ("SERVER__PORT", "65536", "server.port: Input should be less than or equal to 65535"),
        ("SERVER__WORKERS", "0", "server.workers: Input should be greater than 0"),
        (
            "CORS__ORIGINS",
            "https://a.example.com",
            "cors.origins: must be a list; in an environment variable, a JSON array",
        ),
        (
            "CORS__ORIGINS",
            '["*", "https://a.example.com/"]',
            "cors.origins.1: must be * or an origin such as https://portal.example.com, without a path",
        ),
        ("LOG__LEVEL", "loud", "log.level: Input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'"),
        (
            "PLUGINS__DISABLED",
            "job-scripts",
            "plugins.disabled: must be a list; in an environment variable, a JSON array",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_names_its_key(
    environment: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    environment.setenv(f"JOBBERGATE_{variable}", text)
    assert refused() == message


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{PASSWORD}#1@db:5432/name",
        f"postgresql://user:{PASSWORD}/1@db:5432/name",
        f"postgresql://user:{PASSWORD}?1@db:5432/name",
        f"postgresql://user:{PASSWORD}@db:{PASSWORD}/name",
        f"postgresql://user:{PASSWORD}@[::1/name",
        f"postgresql://user:{PASSWORD}@db:5432",
        f"postgresql://user:{PASSWORD}@/name",
    ],
)
def test_a_wrong_database_url_does_not_show_its_password(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("JOBBERGATE_DATABASE__URL", url)
    assert refused() == (
        "database.url: must be of the form postgresql://user:password@host:port/name, "
        "with special characters percent-encoded"
    )


def test_an_option_that_nobody_would_read_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("JOBBERGATE_DATABASE__URL", "postgresql://user@db/name?sslmode=require&sslcert=a.pem")
    assert refused() == "database.url: must not contain options other than host and sslmode"


def test_all_problems_of_a_file_are_told_together(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        f"""
        color = "red"
        log = "{PASSWORD}"
        [database]
        url = "mysql://{PASSWORD}"
        poolsize = 1
        [oidc]
        issuer = " "
        [server]
        port = "http"
        """,
    )
    assert refused(file).splitlines() == [
        "database.url: must begin with sqlite:/// or postgresql://",
        "database.poolsize: unknown key",
        "oidc.issuer: must not be blank",
        "server.port: Input should be a valid integer, unable to parse string as an integer",
        "log: must be a table",
        "color: unknown key",
    ]


def test_a_file_that_is_not_toml_is_told_with_its_name(tmp_path: Path) -> None:
    file = written(tmp_path, f'[database\nurl = "{PASSWORD}"\n')
    assert refused(file) == f"{file}: Expected ']' at the end of a table declaration (at line 1, column 10)"
    file.write_bytes(b"\xff\xfe")
    assert refused(file) == f"{file}: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"


def test_a_file_that_is_not_there_or_cannot_be_read_is_told_with_its_name(tmp_path: Path) -> None:
    assert refused(tmp_path / "other.toml") == f"{tmp_path}/other.toml: no such file"
    assert refused(tmp_path) == f"{tmp_path}: no such file"
    unreadable = Path("/proc/self/mem")
    assert refused(unreadable) == "/proc/self/mem: [Errno 5] Input/output error"


def test_secrets_are_never_printed(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("JOBBERGATE_DATABASE__URL", f"postgresql://user:{PASSWORD}@db/name")
    environment.setenv("JOBBERGATE_FILES__URL", f"s3://key:{PASSWORD}@bucket")
    settings = load_settings()
    for text in (repr(settings), str(settings), f"{settings.database}", settings.model_dump_json()):
        assert PASSWORD not in text
        assert "**********" in text


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:8000/oidc", "http://[::1]/oidc", "http://localhost", "https://a.b"]
)
def test_an_issuer_is_https_or_loopback(environment: pytest.MonkeyPatch, issuer: str) -> None:
    environment.setenv("JOBBERGATE_OIDC__ISSUER", issuer)
    assert load_settings().oidc.issuer == issuer


@pytest.mark.parametrize("issuer", ["http://idp.example.com", "http://10.0.0.1", "http://127.0.0.1.example.com"])
def test_an_http_issuer_elsewhere_is_refused(environment: pytest.MonkeyPatch, issuer: str) -> None:
    environment.setenv("JOBBERGATE_OIDC__ISSUER", issuer)
    assert refused() == "oidc.issuer: must be an https URL; http is for loopback only"


def test_three_slashes_are_relative_and_four_absolute() -> None:
    assert path_of("sqlite:///var/jobbergate.db") == Path("var/jobbergate.db")
    assert path_of("sqlite:////var/jobbergate.db") == Path("/var/jobbergate.db")
    assert connection_config("sqlite:////srv/a.db", 5)["credentials"]["file_path"] == "/srv/a.db"


def test_every_part_of_a_postgresql_url_is_understood() -> None:
    credentials = connection_config("postgresql://a%40b:p%2Fw@db:6543/na%20me?sslmode=require", 5)["credentials"]
    parts = {"user": "a@b", "password": "p/w", "host": "db", "port": 6543, "database": "na me", "ssl": "require"}
    assert {name: credentials[name] for name in parts} == parts
    credentials = connection_config("postgresql://a@/name?host=/run/postgresql", 5)["credentials"]
    assert (credentials["host"], credentials["port"], credentials["ssl"]) == ("/run/postgresql", 5432, None)


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.server = settings.server
    with pytest.raises(ValueError, match="frozen"):
        settings.server.port = 1
