"""Commands for development."""

import shlex
import sys
from pathlib import Path

import click

from jobbergate_devkit import new_plugin, server
from jobbergate_devkit.issuer import Issuer
from jobbergate_devkit.makemigrations import draft
from jobbergate_server import MOUNT
from jobbergate_server.cli.options import config_option, configure, port_option
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.contribution import permission_names
from jobbergate_server.settings import Server


@click.command("dev")
@config_option
@click.option("--host", help="The loopback address to listen on: server.host.")
@port_option
@click.option("--samples/--no-samples", default=True, show_default=True, help="Fill an empty database with samples.")
def serve_dev(config: Path | None, host: str | None, port: int | None, samples: bool) -> None:  # noqa: FBT001 - click's options
    """Serve for development: on loopback, with an OpenID Connect issuer of its own, migrating by itself."""
    command = [sys.argv[0], "token", *(["--config", str(config)] if config else [])]
    server.serve(configure(config, host, port), samples=samples, token_command=shlex.join(command))


@click.command("new-plugin")
@click.argument("name")
def create_plugin(name: str) -> None:
    """Write a new plugin into the directory NAME, such as acme-licences for the resource /jobbergate/licences."""
    names = new_plugin.create(name, Path())
    defaults = Server()
    click.echo(
        f"Written to {name}. Next:\n"
        "\n"
        f"    pip install -e './{name}[testing]'\n"
        "    jobbergate-server migrate\n"
        "\n"
        f"From its next start the server has http://{defaults.host}:{defaults.port}{MOUNT}/{names.slug}"
    )


@click.command()
@click.argument("slug")
@config_option
@click.option("--name", help="What the migration is called, after its number; what it does by default.")
def makemigrations(slug: str, config: Path | None, name: str | None) -> None:
    """Write the next migration of a plugin, from how its models differ from its migrations."""
    drafted = draft(slug, name, timeout=configure(config).plugins.start_timeout)
    if drafted is None:
        click.echo("No changes.")
        return
    drafted.write()
    click.echo("\n  ".join([str(drafted.path), *drafted.changes]))


@click.command()
@config_option
@click.option("--email", default=server.EMAIL, show_default=True, help="Whom the token is for.")
@click.option("--client-id", default=server.CLIENT_ID, show_default=True, help="The client, for an agent its cluster.")
@click.option("--permission", "permissions", multiple=True, help="What the token allows; everything by default.")
def token(config: Path | None, email: str, client_id: str, permissions: tuple[str, ...]) -> None:
    """Print a token of the development issuer, and nothing else."""
    installation = Installation.load(config)
    issuer = Issuer.load(server.DIRECTORY, installation.settings.oidc.permissions_claim)
    allowed = permissions or permission_names(installation.contributions)
    click.echo(issuer.token(email=email, client_id=client_id, permissions=allowed))
