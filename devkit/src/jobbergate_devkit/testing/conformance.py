"""Conformance tests: the promises of every plugin on each of its routes."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jobbergate_devkit.issuer import Issuer
from jobbergate_devkit.makemigrations import new_migration
from jobbergate_devkit.server import EMAIL
from jobbergate_devkit.testing.route_caller import ABSENT, Operation, RouteCaller
from jobbergate_server import DATABASE, PUBLIC, ListQuery, Permission
from jobbergate_server.installation import Installation
from jobbergate_server.plugins.contribution import CONTRIBUTIONS
from jobbergate_server.plugins.discovery import discover, select
from jobbergate_server.settings import load_settings
from jobbergate_server.tables.migrations import migrate, pending

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

    from jobbergate_devkit.testing.served import MakeApp, Served

Tables = Mapping[str, Mapping[str, object]]

MAX_OFFSET = 2**63 - 1
"""The largest offset that a database accepts."""
UNREADABLE = ("[]", "{", '"text"', "")
"""Bodies that every JSON route rejects."""


def conformance(slug: str, settings: Tables | None = None) -> type["Conformance"]:
    """Return a class of tests for the installed plugin ``slug``.

    Bind it to a name that pytest collects: ``TestConformance = conformance("licences")``. The tests serve the plugin
    and the plugins that it requires, with ``settings``: tables as in the settings file.
    """
    return type(f"TestConformanceOf{slug.title()}", (Conformance,), {"slug": slug, "settings": dict(settings or {})})


class Conformance:
    """The tests; each checks all routes of the plugin, and names those that break the promise."""

    slug: str
    settings: Tables

    @pytest.fixture
    async def conforming(self, make_app: "MakeApp") -> "Served":
        """Start the server with the plugin, and with the samples of all its plugins."""
        return await make_app(plugins=[self.slug], settings=self.settings, samples=True)

    @pytest.fixture
    async def caller(self, conforming: "Served") -> RouteCaller:
        """Return a caller of the plugin's routes, with all permissions."""
        contribution = next(it for it in conforming.app[CONTRIBUTIONS] if it.plugin.slug == self.slug)
        return RouteCaller(conforming, contribution, EMAIL)

    async def test_every_route_is_documented(self, caller: RouteCaller) -> None:
        """Check that each operation has a summary, and each permission a description."""
        undocumented = [str(it) for it in caller.operations if not it.documented.get("summary")]
        undocumented += [it.name for it in caller.contribution.permissions if not it.description]
        assert undocumented == []

    async def test_a_token_is_needed(self, caller: RouteCaller, issuer_key: "RSAKey") -> None:
        """Expect 401 without a token, with an expired token, and with a token of another issuer."""
        stranger = Issuer(issuer_key, "https://login.example.com")
        tokens = {
            "no token": None,
            "an expired token": caller.served.token(email=EMAIL, lifetime=-3600),
            "another issuer's token": stranger.token(email=EMAIL, permissions=caller.served.permissions),
            "no JWT": "none",
        }
        for operation in caller.operations:
            if operation.route.permission is not PUBLIC:
                for name, token in tokens.items():
                    answer = await caller.send(operation, token=token)
                    caller.expect(answer, 401, f"with {name}")
                    if answer.json != {"detail": "Not authenticated"}:
                        caller.complain(answer, f"has another detail than 'Not authenticated' with {name}")
        assert caller.complaints == []

    async def test_the_permission_is_needed(self, caller: RouteCaller) -> None:
        """Expect 403 for a token with every permission except the route's."""
        for operation in caller.operations:
            if isinstance(permission := operation.route.permission, Permission):
                others = [name for name in caller.served.permissions if name != permission.name]
                token = caller.served.token(*(others or ["nothing"]), email=EMAIL)
                caller.expect(await caller.send(operation, token=token), 403, f"without {permission.name}")
        assert caller.complaints == []

    async def test_lists_have_an_envelope_and_pages(self, caller: RouteCaller) -> None:
        """Expect `results` and `pagination`, pages within their limits, and errors for invalid queries."""
        for operation in caller.operations:
            if not isinstance(query := operation.route.handler, ListQuery) or operation.has_parameters:
                continue
            whole = await caller.send(operation)
            caller.expect(whole, 200, "without a query")
            if set(whole.json) != {"results", "pagination"}:
                caller.complain(whole, "is not an envelope of results and pagination")
            for start, limit in ((0, 1), (1, 1), (10**12, 1), (0, MAX_OFFSET), (2**70, 2**70)):
                page = await caller.send(operation, query={"start": start, "limit": limit})
                caller.expect(page, 200, f"to start={start}&limit={limit}")
                if page.status == 200 and len(page.json["results"]) > limit:
                    caller.complain(page, f"has more rows than limit={limit}")
            for field in query.sort:
                for ascending in ("true", "false"):
                    sorting = {"sort_field": field, "sort_ascending": ascending}
                    caller.expect(await caller.send(operation, query=sorting), 200, f"when sorted by {field}")
            caller.expect(await caller.send(operation, query={"search": "a %_\\ '"}), 200, "to a search")
            caller.expect(
                await caller.send(operation, query={"sort_field": "nothing"}), 400, "to an unknown sort_field"
            )
            for wrong in ({"start": "x"}, {"start": "-1"}, {"limit": "0"}, {"limit": "x"}, {"sort_ascending": "x"}):
                caller.expect(await caller.send(operation, query=wrong), 422, f"to {wrong}")
        assert caller.complaints == []

    async def test_unknown_ids_are_not_found(self, caller: RouteCaller) -> None:
        """Expect 404 for ids without a row, within and beyond the range of a column."""
        for operation in caller.operations:
            if operation.has_parameters:
                for absent in ABSENT:
                    answer = await caller.send(operation, parameter=absent)
                    if operation.takes_form:
                        caller.expect_error(answer, f"to id {absent}")
                    else:
                        caller.expect(answer, 404, f"to id {absent}")
        assert caller.complaints == []

    async def test_invalid_bodies_are_rejected(self, caller: RouteCaller) -> None:
        """Expect 422 or 400, and never 500, for invalid bodies and for fields of the wrong type."""
        for operation in caller.operations:
            if (schema := operation.body_schema) is not None:
                for body in UNREADABLE:
                    caller.expect_error(await caller.send(operation, data=body), f"to the body {body!r}")
                for name in schema.load_fields:
                    for wrong in ({"a": [1]}, "\0", 2**70):
                        changed = {**(operation.sample or {}), name: wrong}
                        caller.expect_known(await caller.send(operation, json=changed), f"to {name}={wrong!r}")
            elif operation.takes_form:
                caller.expect_known(await caller.send(operation, data=b"no form"), "to an invalid form")
        assert caller.complaints == []

    async def test_responses_are_as_documented(self, caller: RouteCaller) -> None:
        """Expect a documented status, and a body of its schema, for each operation."""
        for operation in sorted(caller.operations, key=Operation.turn):
            answer = await caller.send(operation, parameter=caller.known)
            caller.expect_known(answer, "to a usual request")
            caller.remember(operation, answer)
        assert caller.complaints == []

    async def test_migrations_lead_to_the_models(self, empty_database_url: str) -> None:
        """Apply all migrations to an empty database, and expect no difference to the models."""
        given = {**self.settings, "log": {"level": "WARNING"}, "database": {"url": empty_database_url}}
        installation = Installation.of(load_settings(None, **given), select(discover(), [self.slug]))
        async with installation.connected() as database:
            applied = await migrate(database, installation.contributions)
            assert applied
            assert await pending(database) == []
        if any(it.plugin.slug == self.slug and it.models for it in installation.contributions):
            missing = await asyncio.to_thread(new_migration, self.slug)
            assert missing is None, f"models have changed: run jobbergate-server makemigrations {self.slug}"

    async def test_the_server_shuts_down_cleanly(self, make_app: "MakeApp") -> None:
        """Expect no task of the plugin and no error in the log after the shutdown."""
        before = asyncio.all_tasks()
        with capture_logs() as logs:
            served = await make_app(plugins=[self.slug], settings=self.settings, samples=True)
            caller = RouteCaller(
                served, next(it for it in served.app[CONTRIBUTIONS] if it.plugin.slug == self.slug), EMAIL
            )
            for operation in sorted(caller.operations, key=Operation.turn):
                caller.remember(operation, await caller.send(operation, parameter=caller.known))
            await served.close()
        left = [task.get_coro().__qualname__ for task in asyncio.all_tasks() - before if not task.done()]  # type: ignore[union-attr]  # tasks of plugins are coroutines
        assert left == []
        assert [entry for entry in logs if entry["log_level"] in {"error", "critical"}] == []
        with pytest.raises(RuntimeError, match="the database is not connected"):
            served.app[DATABASE].client  # noqa: B018 - the property raises
