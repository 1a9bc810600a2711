"""What the distribution of a plugin requires must be installed, in a version that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jobbergate_server import __version__
from jobbergate_server.errors import StartError
from jobbergate_server.plugins.discovery import discover, select
from jobbergate_server.plugins.plugin import State
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import Plugins as Config

if TYPE_CHECKING:
    from conftest import Site


def refused() -> str:
    with pytest.raises(StartError) as failure:
        Plugins(discover(), Config())
    return str(failure.value)


@pytest.mark.parametrize(
    ("requires", "message"),
    [
        (["site-beta >= 2"], "requires site-beta>=2, but site-beta 1.5 is installed"),
        (["Site_Beta == 1.4"], "requires site-beta==1.4, but site-beta 1.5 is installed"),
        (
            ["jobbergate-server >= 99"],
            f"requires jobbergate-server>=99, but jobbergate-server {__version__} is installed",
        ),
        (["site-omega"], "requires site-omega, which is not installed"),
        (["not-installed >= 3; python_version >= '3'"], "requires not-installed>=3, which is not installed"),
        (
            ["site-beta < 1", "not-installed"],
            "requires site-beta<1, but site-beta 1.5 is installed; requires not-installed, which is not installed",
        ),
    ],
)
def test_a_requirement_that_is_not_met_is_told_before_the_import(site: Site, requires: list[str], message: str) -> None:
    site.install("beta", version="1.5")
    site.install("alpha", "raise RuntimeError('imported')", requires=tuple(requires))
    assert refused() == f"plugin 'alpha' (site-alpha 1.0): {message}"


@pytest.mark.parametrize(
    "requirement",
    [
        "site-beta >= 1.0, < 3",
        "site-beta == 2.0rc1",
        f"jobbergate-server == {__version__}",
        "not-installed; extra == 'all'",
        "not-installed; python_version < '3'",
        "click < 1",  # other libraries are the installer's concern
    ],
)
def test_a_requirement_that_is_met_or_not_asked_for_is_fine(site: Site, requirement: str) -> None:
    site.install("beta", version="2.0rc1")
    site.install("alpha", requires=(requirement,))
    assert "alpha" in [plugin.slug for plugin in Plugins(discover(), Config()).active]


def test_an_optional_plugin_whose_requirement_is_not_met_is_left_out(site: Site) -> None:
    site.install("alpha", requires=("not-installed",))
    reason = "requires not-installed, which is not installed"
    with capture_logs() as logs:
        plugins = Plugins(discover(), Config(optional=["alpha"]))
    (alpha,) = plugins.failed
    assert (alpha.slug, alpha.state, alpha.reason) == ("alpha", State.FAILED, reason)
    assert logs == [{"event": "optional plugin failed", "log_level": "error", "plugin": "alpha", "reason": reason}]


def test_the_requirements_of_a_disabled_plugin_do_not_matter(site: Site) -> None:
    site.install("alpha", requires=("not-installed",))
    assert [plugin.slug for plugin in Plugins(discover(), Config(disabled=["alpha"])).failed] == []


def test_selected_plugins_come_with_what_they_require(site: Site) -> None:
    site.install("alpha", requires=("site-beta",))
    site.install("beta", requires=("jobbergate-applications",))
    site.install("gamma")
    assert sorted(plugin.slug for plugin in select(discover(), ["alpha"])) == [
        "alpha",
        "applications",
        "beta",
        "service",
    ]
    with pytest.raises(StartError) as failure:
        select(discover(), ["alpha", "delta", "omega"])
    assert str(failure.value) == "no plugin 'delta', 'omega' is installed"
