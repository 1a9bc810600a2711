"""The port on which Prometheus asks; the database behind it does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from jobbergate_server.errors import StartError

if TYPE_CHECKING:
    from jobbergate_devkit.testing import MakeApp
    from plugins.prometheus.tests.conftest import MakeSite, Site

REQUESTS = "jobbergate_http_requests_total"
DURATIONS = "jobbergate_http_request_duration_seconds"


async def test_process_and_python_are_measured(site: Site) -> None:
    scrape = await site.scrape()
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "python_info"} <= scrape.names
    assert "python_gc_collections_total" in scrape.names


async def test_openmetrics_is_answered_to_those_who_ask_for_it(site: Site) -> None:
    await site.anyone.get("/jobbergate/health")
    _, plain, _ = await site.answer(site.url)
    assert plain.startswith("text/plain; version=0.0.4")
    status, kind, text = await site.answer(site.url, Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.partition(";")[0]) == (200, "application/openmetrics-text")
    families = {family.name: family.type for family in openmetrics(text)}  # type: ignore[no-untyped-call]  # not annotated
    assert families["jobbergate_http_requests"] == "counter"
    assert families[DURATIONS] == "histogram"
    assert families["jobbergate_database_connections"] == "gauge"


async def test_there_is_nothing_else_on_the_port_and_no_metrics_elsewhere(site: Site) -> None:
    root = site.url.removesuffix("/metrics")
    for path in ("/", "/metrics/", "/jobbergate/health", "/jobbergate/metrics"):
        assert (await site.answer(root + path))[0] == 404
    assert (await site.answer(site.url, "POST"))[0] == 405
    for path in ("/metrics", "/jobbergate/metrics", "/jobbergate/prometheus"):
        assert (await site.anyone.get(path)).status == 404


async def test_asking_for_metrics_is_no_request_of_the_server(site: Site) -> None:
    await site.scrape()
    assert (await site.scrape()).series(REQUESTS) == []


async def test_two_servers_in_one_process_count_for_themselves(make_site: MakeSite) -> None:
    first, second = await make_site(), await make_site()
    await first.anyone.get("/jobbergate/health")
    assert len((await first.scrape()).series(REQUESTS)) == 1
    assert (await second.scrape()).series(REQUESTS) == []


async def test_a_server_that_is_told_of_no_port_opens_none(make_app: MakeApp) -> None:
    first, second = await make_app(), await make_app()
    for served in (first, second):
        assert (await served.client().get("/jobbergate/health")).status == 204
        assert not [key for key in served.app if "prometheus" in str(key)]


async def test_a_port_in_use_is_told_with_what_may_help(site: Site, make_site: MakeSite) -> None:
    with pytest.raises(StartError) as failure:
        await make_site(site.port)
    text = str(failure.value)
    assert text.startswith("plugin 'prometheus' (jobbergate-prometheus ")
    assert f"plugins.prometheus.host, plugins.prometheus.port: 127.0.0.1:{site.port}: Address already in use; " in text
    assert "the environment variable PROMETHEUS_MULTIPROC_DIR" in text
    assert len(text.splitlines()) == 1


async def test_the_port_is_free_when_the_server_has_stopped(site: Site, make_site: MakeSite) -> None:
    await site.scrape()
    await site.served.close()
    assert (await (await make_site(site.port)).scrape()).series(REQUESTS) == []
