"""What is counted and measured."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from patience import PATIENCE

if TYPE_CHECKING:
    from plugins.prometheus.tests.conftest import Site

REQUESTS = "jobbergate_http_requests_total"
DURATIONS = "jobbergate_http_request_duration_seconds"
SCRIPTS = "/jobbergate/job-scripts"


async def test_requests_are_counted_by_method_route_plugin_and_status(site: Site) -> None:
    owner = site.served.client_as()
    for number in (1, 2):
        await owner.get(f"{SCRIPTS}/{number}")
    await site.anyone.get(f"{SCRIPTS}/3")
    await owner.delete(f"{SCRIPTS}/1")
    await site.anyone.get("/jobbergate/health")
    scrape = await site.scrape()
    route = {"route": f"{SCRIPTS}/{{job_script_id}}", "plugin": "job-scripts"}
    assert scrape.value(REQUESTS, method="GET", status="404", **route) == 2
    assert scrape.value(REQUESTS, method="GET", status="401", **route) == 1
    assert scrape.value(REQUESTS, method="DELETE", status="404", **route) == 1
    assert scrape.value(REQUESTS, method="GET", status="204", route="/jobbergate/health", plugin="service") == 1
    # What the provider of the tests, which no plugin brings, was asked comes on top.
    assert len(scrape.series(REQUESTS)) == 4 + len(scrape.series(REQUESTS, plugin=""))


async def test_durations_are_counted_in_buckets_by_route_and_plugin(site: Site) -> None:
    for _ in range(3):
        await site.anyone.get("/jobbergate/health")
    scrape = await site.scrape()
    route = {"route": "/jobbergate/health", "plugin": "service"}
    assert scrape.value(f"{DURATIONS}_count", **route) == 3
    assert 0 < scrape.value(f"{DURATIONS}_sum", **route) < 30
    buckets = [bucket.value for bucket in scrape.series(f"{DURATIONS}_bucket", **route)]
    assert buckets == sorted(buckets)
    assert buckets[-1] == scrape.value(f"{DURATIONS}_bucket", le="+Inf", **route) == 3


async def test_what_a_client_makes_up_has_one_label_for_all(site: Site) -> None:
    for method in ("PROPFIND", "PURGE", "LINK"):
        await site.anyone.get(f"/jobbergate/{method}")
        await site.anyone.request(method, SCRIPTS)
    await site.anyone.put(SCRIPTS)
    scrape = await site.scrape()
    assert scrape.value(REQUESTS, method="GET", route="unmatched", plugin="", status="404") == 3
    assert scrape.value(REQUESTS, method="other", route="unmatched", plugin="", status="405") == 3
    assert scrape.value(REQUESTS, method="PUT", route="unmatched", plugin="", status="405") == 1
    assert len(scrape.series(REQUESTS)) == 3
    assert len(scrape.series(f"{DURATIONS}_count")) == 1


async def test_connections_and_the_token_cache_are_measured(site: Site) -> None:
    before = await site.scrape()
    assert before.value("jobbergate_tokens_cached") == before.value("jobbergate_token_cache_hits_total") == 0
    owner = site.served.client_as()
    for _ in range(3):
        await owner.get(SCRIPTS)
    await site.anyone.get(SCRIPTS, headers={"Authorization": "Bearer nonsense"})
    async with asyncio.timeout(PATIENCE):  # the server itself looks for events now and then
        while (scrape := await site.scrape()).value("jobbergate_database_connections_idle") != scrape.value(
            "jobbergate_database_connections"
        ):
            pass
    for _ in range(2):  # asking does not change the answer
        scrape = await site.scrape()
        assert scrape.value("jobbergate_database_connections") >= 1
        assert scrape.value("jobbergate_tokens_cached") == 1
        assert scrape.value("jobbergate_token_cache_hits_total") == 2
        assert scrape.value("jobbergate_token_cache_misses_total") == 2
