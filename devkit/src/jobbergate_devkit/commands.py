"""Commands for development."""

import shlex
import sys
from pathlib import Path

import click

from jobbergate_devkit import new_plugin, server
from jobbergate_devkit.issuer import Issuer
from jobbergate_devkit.makemigrations import new_migration
from jobbergate_server import MOUNT
from jobbergate_server.cli.options import config_option, configure, port_option
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.contribution import permission_names
from jobbergate_server.settings import Server


@click.command("dev")
@config_option
@click.option("--host", help="The loopback address to listen on: server.host.")
@port_option
@click.option("--samples/--no-samples", default=True, show_default=True, help="Add sample rows to an empty database.")
def serve_dev(config: Path | None, host: str | None, port: int | None, samples: bool) -> None:  # noqa: FBT001 - click's options
    """Serve for development: on loopback, with a built-in OpenID Connect issuer and automatic migrations."""
    command = [sys.argv[0], "token", *(["--config", str(config)] if config else [])]
    server.serve(configure(config, host, port), samples=samples, token_command=shlex.join(command))


@click.command("new-plugin")
@click.argument("name")
def create_plugin(name: str) -> None:
    """Create a plugin in the directory NAME, such as acme-licences for the resource /jobbergate/licences."""
    names = new_plugin.create(name, Path())
    defaults = Server()
    click.echo(
        f"Created {name}. Next steps:\n"
        "\n"
        f"    pip install -e './{name}[testing]'\n"
        "    jobbergate-server migrate\n"
        "\n"
        f"After a restart, the server serves http://{defaults.host}:{defaults.port}{MOUNT}/{names.slug}"
    )


@click.command()
@click.argument("slug")
@config_option
@click.option("--name", help="Name of the migration, after its number. Default: a summary of its changes.")
def makemigrations(slug: str, config: Path | None, name: str | None) -> None:
    """Write the next migration of a plugin, from the differences between its models and its migrations."""
    migration = new_migration(slug, name, timeout=configure(config).plugins.start_timeout)
    if migration is None:
        click.echo("No changes.")
        return
    migration.write()
    click.echo("\n  ".join([str(migration.path), *migration.changes]))


@click.command()
@config_option
@click.option("--email", default=server.EMAIL, show_default=True, help="E-mail address of the user (claim email).")
@click.option(
    "--client-id",
    default=server.CLIENT_ID,
    show_default=True,
    help="Client ID (claim azp). For an agent, the name of its cluster.",
)
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    help="Permission of the token; can be repeated. Default: all permissions.",
)
def token(config: Path | None, email: str, client_id: str, permissions: tuple[str, ...]) -> None:
    """Print a token of the development issuer."""
    installation = Installation.load(config)
    issuer = Issuer.load(server.DIRECTORY, installation.settings.oidc.permissions_claim)
    allowed = permissions or permission_names(installation.contributions)
    click.echo(issuer.token(email=email, client_id=client_id, permissions=allowed))
