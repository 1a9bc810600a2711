"""An installation: its settings, its plugins, and their contributions."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from jobbergate_server.database.connection import Database
from jobbergate_server.database.health import require_database
from jobbergate_server.errors import StartError
from jobbergate_server.http.logs import configure_logging
from jobbergate_server.plugins.contribution import Contribution, tortoise_apps
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.dispatcher import before_commit
from jobbergate_server.plugins.plugin import Plugin
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import Settings, load_settings
from jobbergate_server.tables.migrations import pending


class Installation(NamedTuple):
    """The settings, the plugins and their contributions, before anything is opened."""

    settings: Settings
    plugins: Plugins
    contributions: list[Contribution]

    @classmethod
    def of(cls, settings: Settings, installed: Iterable[Plugin] | None = None) -> "Installation":
        """Return the installation of ``settings``, with the plugins of this environment or those in ``installed``.

        Raises:
            StartError: Settings or plugins prevent the start; the text has a line for each reason.
        """
        plugins = Plugins(discover() if installed is None else installed, settings.plugins)
        return cls(settings, plugins, collect(plugins, settings))

    @classmethod
    def load(cls, config: Path | None) -> "Installation":
        """Return the installation of the settings file ``config`` and the environment, and configure its log.

        Raises:
            SettingsError: The settings are not valid.
            StartError: As with `of`.
        """
        settings = load_settings(config)
        configure_logging(settings.log)
        return cls.of(settings)

    def database(self) -> Database:
        """Return the database with the models of the plugins, not connected yet."""
        slugs = {event.name: it.plugin.slug for it in self.contributions for event in it.events}
        veto = before_commit(self.plugins, self.contributions)
        return Database(self.settings.database, tortoise_apps(self.contributions), slugs, veto)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Database]:
        """Yield the connected database.

        Raises:
            StartError: The database does not respond.
        """
        database = self.database()
        async with database.connected():
            await require_database(database)
            yield database

    @asynccontextmanager
    async def current(self) -> AsyncIterator[Database]:
        """Yield the connected database, whose schema is up to date.

        Raises:
            StartError: The database does not respond, or migrations are missing.
        """
        async with self.connected() as database:
            if missing := await pending(database):
                raise StartError(
                    f"The database schema is out of date. Missing migrations: {', '.join(missing)}. "
                    "Run `jobbergate-server migrate`."
                )
            yield database
