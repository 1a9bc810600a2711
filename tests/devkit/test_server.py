"""Samples: plugins add them to the databases of development servers, and to no others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

import pytest

from jobbergate_devkit.server import EMAIL
from jobbergate_server import Files, hookimpl
from jobbergate_server.errors import StartError
from jobbergate_server.plugins.plugin import Plugin

if TYPE_CHECKING:
    from types import ModuleType

    from conftest import Site
    from jobbergate_devkit.testing import MakeApp

pytestmark = pytest.mark.database("sqlite")


class Sampler:
    """A plugin that notes for whom it was asked to add samples."""

    __name__ = "sampler"

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, type]] = []
        self.error = error

    @hookimpl
    async def add_samples(self, owner: str, files: Files) -> None:
        """Note it, or fail."""
        if self.error:
            raise self.error
        self.asked.append((owner, type(files)))


def plugin(sampler: Sampler) -> Plugin:
    return Plugin("sampler", cast("ModuleType", sampler), "site-sampler", "1.0")


async def test_samples_are_added_for_the_owner_and_only_where_they_are_wanted(
    make_app: MakeApp, notebook: list[Plugin]
) -> None:
    sampler = Sampler()
    await make_app(plugins=[*notebook, plugin(sampler)])
    assert sampler.asked == []
    await make_app(plugins=[*notebook, plugin(sampler)], samples=True)
    assert sampler.asked == [(EMAIL, Files)]


async def test_samples_that_fail_are_told_with_their_plugin(make_app: MakeApp, notebook: list[Plugin]) -> None:
    with pytest.raises(StartError) as failure:
        await make_app(plugins=[*notebook, plugin(Sampler(RuntimeError("out of samples")))], samples=True)
    assert str(failure.value).startswith(
        "plugin 'sampler' (site-sampler 1.0): add_samples: RuntimeError: out of samples"
    )


SAMPLER = """
from contextlib import asynccontextmanager
from jobbergate_server import PUBLIC, Route, hookimpl

seen = []

async def show_sample(_):
    return {}

@hookimpl
@asynccontextmanager
async def lifespan():
    seen.append("opened")
    yield {}
    seen.append("closed")

@hookimpl
async def add_samples():
    raise RuntimeError("out of samples")

@hookimpl
def register_routes():
    return [Route("GET", "", show_sample, permission=PUBLIC)]
"""


async def test_an_optional_plugin_whose_samples_fail_is_left_out_whole_and_closed(
    make_app: MakeApp, site: Site
) -> None:
    module = site.install("sampler", SAMPLER)
    served = await make_app(plugins=["sampler"], settings={"plugins": {"optional": ["sampler"]}}, samples=True)
    client = served.client_as()
    assert (await client.get("/jobbergate/sampler")).status == 404
    document = await (await client.get("/jobbergate/openapi.json")).json()
    assert "/sampler" not in document["paths"]
    await served.close()
    assert sys.modules[module].seen == ["opened", "closed"]
