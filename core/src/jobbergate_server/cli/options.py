"""Options of several commands, and the settings that they result in."""

from pathlib import Path

import click

from jobbergate_server.http.logs import configure_logging
from jobbergate_server.settings import Settings, load_settings

CONFIG_TYPE = click.Path(path_type=Path, dir_okay=False)
CONFIG_HELP = "A TOML file with settings. Environment variables JOBBERGATE_… take precedence."

config_option = click.option("--config", type=CONFIG_TYPE, help=CONFIG_HELP)
port_option = click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on: server.port.")


def configure(
    config: Path | None, host: str | None = None, port: int | None = None, workers: int | None = None
) -> Settings:
    """Return the settings of the file, the environment and the options of a command, and configure the log.

    Raises:
        SettingsError: A setting is not valid.
    """
    options = {"host": host, "port": port, "workers": workers}
    given = {name: value for name, value in options.items() if value is not None}
    settings = load_settings(config, **({"server": given} if given else {}))
    configure_logging(settings.log)
    return settings
