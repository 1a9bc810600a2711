"""What plugins bring: their settings, and the clashes that stop the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jobbergate_server import PUBLIC, Permission, Route
from jobbergate_server.errors import StartError
from jobbergate_server.plugins.contribution import Contribution, permission_names, tortoise_apps
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.plugin import State
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import load_settings

if TYPE_CHECKING:
    from aiohttp import web

    from conftest import Site

pytestmark = pytest.mark.usefixtures("clean_environment")

IMPORTS = """
from aiohttp import web
from pydantic import SecretStr
from tortoise import Model, fields as columns
from jobbergate_server import AUTHENTICATED, PUBLIC, Models, Permission, Route, Section, hookimpl

async def show(request): ...
async def change(request): ...
"""
LICENCES = f"""
{IMPORTS}
class Licences(Section):
    url: str
    seats: int = 1
    servers: list[str] = []
    password: SecretStr = SecretStr("")

@hookimpl
def register_settings():
    return Licences

@hookimpl
def register_routes(context):
    async def show(request): ...
    show.__name__ = f"show_{{context.slug}}_{{context.settings.seats}}"
    return [Route("GET", "", show, permission=PUBLIC)]
"""
HINT = "(set keys of plugins in [plugins.<slug>] or in JOBBERGATE_PLUGINS__<SLUG>__<KEY>)"


def collected(**config: dict[str, Any]) -> list[Contribution]:
    settings = load_settings(None, **config)
    return collect(Plugins(discover(), settings.plugins), settings)


def brought(slug: str, **config: dict[str, Any]) -> Contribution:
    return next(contribution for contribution in collected(**config) if contribution.plugin.slug == slug)


def refused(**config: dict[str, Any]) -> list[str]:
    with pytest.raises(StartError) as failure:
        collected(**config)
    return str(failure.value).splitlines()


def routes(*lines: str) -> str:
    """The source of a plugin with these routes, or other hooks."""
    listed = ",\n        ".join(lines)
    return f"{IMPORTS}\n@hookimpl\ndef register_routes():\n    return [\n        {listed}\n    ]\n"


def test_the_bundled_plugins_bring_what_they_say() -> None:
    contributions = collected()
    assert {
        "jobbergate:applications:view",
        "jobbergate:applications:edit",
        "jobbergate:job-scripts:view",
        "jobbergate:job-scripts:edit",
        "jobbergate:job-submissions:view",
        "jobbergate:job-submissions:edit",
    } <= set(permission_names(contributions))
    bundled = ["applications", "job_scripts", "job_submissions"]
    assert [label for label in tortoise_apps(contributions) if label in bundled] == bundled


def test_a_plugin_is_told_its_settings_as_the_model_that_it_registered(
    site: Site, clean_environment: pytest.MonkeyPatch
) -> None:
    site.install("acme-licences", LICENCES)
    clean_environment.setenv("JOBBERGATE_PLUGINS__ACME_LICENCES__URL", "https://licences.example.com")
    clean_environment.setenv("JOBBERGATE_PLUGINS__ACME_LICENCES__SEATS", "3")
    clean_environment.setenv("JOBBERGATE_PLUGINS__ACME_LICENCES__SERVERS", '["a", "b"]')
    contribution = brought("acme-licences")
    assert contribution.context.settings is not None
    assert contribution.context.settings.model_dump(exclude={"password"}) == {
        "url": "https://licences.example.com",
        "seats": 3,
        "servers": ["a", "b"],
    }
    assert contribution.routes[0].name == "show_acme-licences_3"


def test_wrong_settings_of_all_plugins_are_told_together(site: Site) -> None:
    site.install("acme-licences", LICENCES)
    tables = {
        "acme_licences": {"seats": "many", "seat": 1, "password": ["hunter2"]},
        "job_scripts": {"shell": "bash"},
        "job_submissions": "hunter2",
        "licences": {},
    }
    assert refused(plugins=tables) == [
        "plugins.licences: no such plugin is installed",
        "plugins.acme-licences.url: must be set",
        "plugins.acme-licences.seats: Input should be a valid integer, unable to parse string as an integer",
        "plugins.acme-licences.password: Input should be a valid string",
        "plugins.acme-licences.seat: unknown key",
        "plugins.job-scripts.shell: unknown key",
        "plugins.job-submissions: must be a table",
        HINT,
    ]


def test_every_function_that_implements_a_hook_is_called_in_the_order_of_the_code(site: Site) -> None:
    site.install(
        "alpha",
        """
        from jobbergate_server import Permission, hookimpl

        @hookimpl(specname="register_permissions")
        def to_view():
            return [Permission("alpha:view", "View.")]

        @hookimpl
        def register_permissions():
            return [Permission("alpha:edit", "Edit.")]
        """,
    )
    assert [permission.name for permission in brought("alpha").permissions] == ["alpha:view", "alpha:edit"]


def test_the_settings_of_a_disabled_plugin_may_stay(site: Site) -> None:
    site.install("acme-licences", LICENCES)
    collected(plugins={"disabled": ["acme-licences"], "acme_licences": {"seats": "many"}})


def test_a_hook_that_fails_is_told_with_the_name_of_its_plugin(site: Site) -> None:
    hook = "@hookimpl\ndef register_settings():\n    raise RuntimeError('no settings')\n"
    file = site.file(site.install("alpha", f"from jobbergate_server import hookimpl\n{hook}"))
    site.install("beta")
    assert refused(plugins={"alpha": {"key": 1}, "beta": {"key": 1}}) == [
        f"plugin 'alpha' (site-alpha 1.0): register_settings: RuntimeError: no settings ({file}:5)",
        "plugins.beta.key: unknown key",
        HINT,
    ]


def test_all_hooks_that_fail_are_told_together(site: Site) -> None:
    failing = "@hookimpl\ndef {0}():\n    raise RuntimeError('no {0}')\n"
    hooks = ("register_models", "register_permissions", "register_routes")
    header = "from jobbergate_server import hookimpl\n"
    alpha = site.file(site.install("alpha", header + "".join(failing.format(hook) for hook in hooks)))
    beta = site.file(site.install("beta", header + failing.format("register_routes")))
    site.install("gamma", requires=("site-alpha",))
    prefix = "plugin 'alpha' (site-alpha 1.0)"
    assert refused() == [
        f"{prefix}: register_models: RuntimeError: no register_models ({alpha}:5)",
        f"{prefix}: register_permissions: RuntimeError: no register_permissions ({alpha}:8)",
        f"{prefix}: register_routes: RuntimeError: no register_routes ({alpha}:11)",
        f"plugin 'beta' (site-beta 1.0): register_routes: RuntimeError: no register_routes ({beta}:5)",
        "plugin 'gamma' (site-gamma 1.0): requires 'alpha', which failed to load",
    ]


def test_an_optional_plugin_that_fails_late_is_left_out_whole(site: Site) -> None:
    module = site.install(
        "alpha",
        """from jobbergate_server import Permission, hookimpl
@hookimpl
def register_permissions():
    return [Permission("alpha:view", "See it.")]
@hookimpl
def register_routes():
    raise RuntimeError("no routes")
""",
    )
    settings = load_settings(plugins={"optional": ["alpha"]})
    plugins = Plugins(discover(), settings.plugins)
    contributions = collect(plugins, settings)
    assert "alpha:view" not in permission_names(contributions)
    alpha = next(plugin for plugin in plugins.installed if plugin.slug == "alpha")
    assert (alpha.state, alpha.reason) == (
        State.FAILED,
        f"register_routes: RuntimeError: no routes ({site.file(module)}:8)",
    )


def test_a_permission_that_nobody_registers_is_told(site: Site) -> None:
    site.install(
        "alpha",
        routes(
            'Route("GET", "", show, permission=Permission("alpha:view", "See."))',
            'Route("PUT", "/{id}", change, permission=Permission("jobbergate:job-scripts:edit", "Edit."))',
        ),
    )
    assert refused() == [
        "plugin 'alpha': GET '' requires the permission 'alpha:view', which no plugin registers",
    ]


async def handler(_: web.Request) -> None:
    """Answer nothing."""


def test_a_route_has_one_of_the_methods_that_are_served() -> None:
    with pytest.raises(ValueError, match=r"^'HEAD' is not one of the methods DELETE, GET, PATCH, POST, PUT$"):
        Route("HEAD", "", handler, permission=PUBLIC)


def test_a_route_says_what_a_token_must_allow() -> None:
    permission: Any = "alpha:view"
    with pytest.raises(TypeError, match=r"^GET '/a' must have a Permission, AUTHENTICATED or PUBLIC$"):
        Route("GET", "/a", handler, permission=permission)
    assert Route("GET", "", handler, permission=Permission("alpha:view", "See.")).name == "handler"


def test_the_shape_of_a_route_leaves_out_the_names_of_its_parameters() -> None:
    assert Route("GET", "/{id}/files/{path:.+}", handler, permission=PUBLIC).shape == "/{}/files/{}"
