"""Installed plugins: their order, and which of them take part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jobbergate_server.errors import StartError
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.plugin import Plugin, State
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.service import plugin
from jobbergate_server.settings import Plugins as Config

if TYPE_CHECKING:
    from conftest import Site

BROKEN = "raise RuntimeError('out of licences')"
REASON = "import: RuntimeError: out of licences ({file}:2)"


def started(**config: list[str]) -> Plugins:
    return Plugins(discover(), Config(**config))  # type: ignore[arg-type]  # pydantic validates them


def refused(**config: list[str]) -> str:
    with pytest.raises(StartError) as failure:
        started(**config)
    return str(failure.value)


def states(plugins: Plugins) -> dict[str, tuple[State, str | None]]:
    return {plugin.slug: (plugin.state, plugin.reason) for plugin in plugins.installed}


def test_the_bundled_plugins_come_in_the_order_of_their_requirements() -> None:
    slugs = [plugin.slug for plugin in started().active]
    bundled = ["service", "applications", "job-scripts", "job-submissions", "email-notifications"]
    assert [slug for slug in slugs if slug in bundled] == bundled


def test_a_plugin_comes_after_those_that_its_distribution_requires(site: Site) -> None:
    site.install("alpha", requires=("Site_Middle >= 1.0",))
    site.install("middle", requires=("jobbergate-applications", "site-omega; python_version >= '3'"))
    site.install("omega", requires=("jobbergate-server", "site-alpha; extra == 'all'"))
    plugins = {plugin.slug: plugin for plugin in started().installed}
    order = [slug for slug in plugins if slug in {"applications", "alpha", "middle", "omega"}]
    assert order.index("middle") > max(order.index("applications"), order.index("omega"))
    assert order[-1] == "alpha"
    assert plugins["middle"].requires == {"applications", "omega", "service"}
    assert plugins["omega"].requires == {"service"}


def test_a_plugin_is_known_by_its_distribution(site: Site) -> None:
    site.install("acme-licences", name="Acme.Licences")
    plugin = next(plugin for plugin in discover() if plugin.slug == "acme-licences")
    assert (plugin.distribution, plugin.version) == ("acme-licences", "1.0")
    assert plugin.label == "acme_licences"


def test_plugins_that_require_each_other_are_named(site: Site) -> None:
    site.install("alpha", requires=("site-beta",))
    site.install("beta", requires=("site-gamma",))
    site.install("gamma", requires=("site-alpha",))
    assert refused() == "plugins require each other in a circle: alpha → gamma → beta → alpha"
    assert states(started(disabled=["alpha", "beta", "gamma"]))["beta"] == (State.DISABLED, "disabled in the settings")


def test_a_disabled_plugin_is_not_even_imported(site: Site) -> None:
    site.install("alpha", "raise RuntimeError('imported')")
    plugins = started(disabled=["alpha"])
    assert states(plugins)["alpha"] == (State.DISABLED, "disabled in the settings")
    assert "alpha" not in [plugin.slug for plugin in plugins.active]


def test_whatever_requires_a_disabled_plugin_stops_the_start() -> None:
    assert refused(disabled=["applications"]).splitlines()[:2] == [
        "plugin 'job-scripts' (jobbergate-job-scripts 0.1.0): requires 'applications', which is disabled",
        "plugin 'job-submissions' (jobbergate-job-submissions 0.1.0): requires 'job-scripts', which failed to load",
    ]


def test_all_plugins_that_fail_are_named_with_those_that_require_them(site: Site) -> None:
    alpha = site.install("alpha", "import not_installed_anywhere")
    beta = site.install("beta", BROKEN)
    site.install("omega", requires=("site-alpha",))
    missing = "import: ModuleNotFoundError: No module named 'not_installed_anywhere'"
    assert refused().splitlines() == [
        f"plugin 'alpha' (site-alpha 1.0): {missing} ({site.file(alpha)}:2)",
        f"plugin 'beta' (site-beta 1.0): {REASON.format(file=site.file(beta))}",
        "plugin 'omega' (site-omega 1.0): requires 'alpha', which failed to load",
    ]


def test_an_optional_plugin_is_left_out_whole_with_those_that_require_it(site: Site) -> None:
    reason = REASON.format(file=site.file(site.install("alpha", BROKEN)))
    site.install("beta", requires=("site-alpha",))
    site.install("gamma")
    with capture_logs() as logs:
        plugins = started(optional=["alpha", "beta"])
    found = states(plugins)
    assert found["alpha"] == (State.FAILED, reason)
    assert found["beta"] == (State.FAILED, "requires 'alpha', which failed to load")
    assert found["gamma"] == (State.ACTIVE, None)
    assert logs == [
        {"event": "optional plugin failed", "log_level": "error", "plugin": "alpha", "reason": reason},
        {"event": "optional plugin failed", "log_level": "error", "plugin": "beta", "reason": found["beta"][1]},
    ]


def test_a_required_plugin_cannot_do_without_an_optional_one(site: Site) -> None:
    site.install("alpha", BROKEN)
    site.install("beta", requires=("site-alpha",))
    assert refused(optional=["alpha"]) == "plugin 'beta' (site-beta 1.0): requires 'alpha', which failed to load"


@pytest.mark.parametrize("slug", ["Licences", "a/b", "1st", "a.b", "a--b", "a-", "_a", "ä"])
def test_a_slug_must_be_fit_for_a_url_and_a_settings_table(site: Site, slug: str) -> None:
    site.install(slug, name="acme")
    assert refused() == (
        f"plugin {slug!r} of acme: the slug must begin with a letter and consist of lower-case letters and digits, "
        "in parts joined by single hyphens or underscores"
    )


def test_settings_that_name_a_plugin_which_is_not_installed_are_refused() -> None:
    assert refused(disabled=["licences"], optional=["jobscripts", "job-scripts"]).splitlines() == [
        "plugins.disabled, plugins.optional: no plugin 'jobscripts' is installed",
        "plugins.disabled, plugins.optional: no plugin 'licences' is installed",
    ]


def test_only_the_plugins_that_are_named_take_part() -> None:
    own = Plugin("service", plugin, "jobbergate-server", "0")
    assert [plugin.slug for plugin in Plugins([own], Config()).active] == ["service"]
