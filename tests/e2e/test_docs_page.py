"""The documentation page in a real browser: it works with no network, under its own strict policy, against the server.

The browser is the machine's own (Debian's package `chromium`, or Chrome); nothing is downloaded.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from e2e.conftest import DevServer
    from playwright.async_api import Browser, Page, Route

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT = 60_000
"""Milliseconds that a step may take on a busy machine; none is waited for longer than it takes."""

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason=f"there is no browser: none of {', '.join(BROWSERS)}"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture(scope="module")
def origin(dev_server: DevServer) -> str:
    """The address of a development server."""
    return f"http://{dev_server.address}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """The browser, which takes longer to start than a test takes."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser has complained of: messages on the console, errors, violations, requests to elsewhere."""
    return []


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, origin: str, complaints: list[str]) -> AsyncIterator[Page]:
    """The documentation page, loaded."""

    async def only_here(route: Route) -> None:
        parts = urlsplit(route.request.url)
        if f"{parts.scheme}://{parts.netloc}" == origin:
            await route.continue_()
        else:
            complaints.append(f"request to {route.request.url}")
            await route.abort()

    context = await browser.new_context(viewport={"width": 1280, "height": 1600})
    context.set_default_timeout(TIMEOUT)
    await context.route("**/*", only_here)
    await context.add_init_script(
        "addEventListener('securitypolicyviolation', event => console.error("
        "`violates ${event.effectiveDirective}: ${event.blockedURI} ${event.sample}`))"
    )
    page = await context.new_page()
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url} {request.failure}"))
    await page.goto(f"{origin}/jobbergate/docs")
    await page.locator(".opblock").first.wait_for()
    yield page
    await context.close()


async def authorize(page: Page, token: str) -> None:
    """Enter the token."""
    await page.locator(".auth-wrapper").get_by_role("button", name="Authorize").click()
    dialog = page.locator(".dialog-ux")
    await dialog.get_by_role("textbox").fill(token)
    await dialog.get_by_role("button", name="Apply credentials").click()
    await dialog.get_by_role("button", name="Close").click()
    await dialog.wait_for(state="detached")


async def test_the_page_lists_the_operations_of_all_plugins(
    page: Page, origin: str, complaints: list[str], tmp_path: Path
) -> None:
    await expect(page).to_have_title("Jobbergate Server")
    document = orjson.loads(await (await page.request.get(f"{origin}/jobbergate/openapi.json")).body())
    tags = {tag["name"] for tag in document["tags"]}
    assert {"service", "applications", "job-scripts", "job-submissions"} <= tags
    expected = sorted(
        f"operations-{operation['tags'][0]}-{operation['operationId']}"
        for item in document["paths"].values()
        for operation in item.values()
    )
    shown = await page.locator(".opblock").evaluate_all("blocks => blocks.map(block => block.id)")
    assert sorted(shown) == expected
    await page.screenshot(path=tmp_path / "operations.png", full_page=True)
    assert complaints == []


async def test_operations_and_schemas_can_be_opened_under_the_policy_of_the_page(
    page: Page, complaints: list[str], tmp_path: Path
) -> None:
    for name in ("service-ready", "applications-get_application", "job-submissions-create_job_submission"):
        operation = page.locator(f"#operations-{name}")
        await operation.locator(".opblock-summary-control").click()
        await operation.get_by_role("button", name="Try it out").click()
        await operation.locator(".responses-table").wait_for()
    schema = page.locator(".models > div > article").filter(has_text="JobSubmissionCreate")
    await schema.get_by_role("button", name="Expand all").first.click()
    await expect(schema).to_contain_text("tasks_per_node")
    await page.screenshot(path=tmp_path / "opened.png", full_page=True)
    assert complaints == []


async def test_trying_out_the_list_of_job_scripts_shows_the_sample(
    page: Page, dev_server: DevServer, complaints: list[str], tmp_path: Path
) -> None:
    await authorize(page, dev_server.printed("token").strip())
    operation = page.locator("#operations-job-scripts-list_job_scripts")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table")
    await expect(live.locator("tr.response .response-col_status")).to_contain_text("200")
    await operation.screenshot(path=tmp_path / "answer.png")
    answer = orjson.loads(await live.locator(".response-col_description pre").first.inner_text())
    assert answer["pagination"] == {"total": 1, "start": None, "limit": None}
    (script,) = answer["results"]
    assert script["job_script_name"]
    assert script["job_script_owner_email"] == "local-user@jobbergate.local"
    assert complaints == []


async def test_without_a_token_the_answer_is_that_there_is_none(page: Page, complaints: list[str]) -> None:
    operation = page.locator("#operations-job-scripts-list_job_scripts")
    await operation.locator(".opblock-summary-control").click()
    await operation.get_by_role("button", name="Try it out").click()
    await operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table")
    await expect(live.locator("tr.response .response-col_status")).to_contain_text("401")
    await expect(live).to_contain_text("Not authenticated")
    # Chromium itself notes on the console what is not 2xx.
    assert [complaint for complaint in complaints if "401" not in complaint] == []
