"""What every plugin promises on every of its routes, as tests that an author gets in one line."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jobbergate_devkit.issuer import Issuer
from jobbergate_devkit.makemigrations import draft
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
"""The largest offset that a database takes."""
UNREADABLE = ("[]", "{", '"text"', "")
"""Bodies that no JSON route can take."""


def conformance(slug: str, settings: Tables | None = None) -> type["Conformance"]:
    """A class of tests for the installed plugin ``slug``, to be bound to a name that pytest collects.

    ``TestConformance = conformance("licences")`` is all that it needs. The plugin is served with those that it requires
    and with ``settings``, which are tables as in the settings file.
    """
    return type(f"TestConformanceOf{slug.title()}", (Conformance,), {"slug": slug, "settings": dict(settings or {})})


class Conformance:
    """The tests; each looks at all routes of the plugin, and names those that do not keep the promise."""

    slug: str
    settings: Tables

    @pytest.fixture
    async def conforming(self, make_app: "MakeApp") -> "Served":
        """The server with the plugin, and with samples of all its plugins."""
        return await make_app(plugins=[self.slug], settings=self.settings, samples=True)

    @pytest.fixture
    async def caller(self, conforming: "Served") -> RouteCaller:
        """Who calls the plugin's routes, with all permissions."""
        contribution = next(it for it in conforming.app[CONTRIBUTIONS] if it.plugin.slug == self.slug)
        return RouteCaller(conforming, contribution, EMAIL)

    async def test_every_route_is_documented(self, caller: RouteCaller) -> None:
        """The API document has a summary for each operation, and a description for each permission."""
        undocumented = [str(it) for it in caller.operations if not it.documented.get("summary")]
        undocumented += [it.name for it in caller.contribution.permissions if not it.description]
        assert undocumented == []

    async def test_a_token_is_needed(self, caller: RouteCaller, issuer_key: "RSAKey") -> None:
        """Without a token, with one that has expired and with one of another issuer the answer is 401."""
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
                        caller.complain(answer, f"does not say that it is not authenticated with {name}")
        assert caller.complaints == []

    async def test_the_permission_is_needed(self, caller: RouteCaller) -> None:
        """A token with every permission but the route's own is answered 403."""
        for operation in caller.operations:
            if isinstance(permission := operation.route.permission, Permission):
                others = [name for name in caller.served.permissions if name != permission.name]
                token = caller.served.token(*(others or ["nothing"]), email=EMAIL)
                caller.expect(await caller.send(operation, token=token), 403, f"without {permission.name}")
        assert caller.complaints == []

    async def test_lists_have_an_envelope_and_pages(self, caller: RouteCaller) -> None:
        """A list has `results` and `pagination`, pages within their bounds, and says which query is wrong."""
        for operation in caller.operations:
            if not isinstance(query := operation.route.handler, ListQuery) or operation.has_parameters:
                continue
            whole = await caller.send(operation)
            caller.expect(whole, 200, "without a query")
            if set(whole.json) != {"results", "pagination"}:
                caller.complain(whole, "is no envelope of results and pagination")
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

    async def test_what_is_not_there_is_not_found(self, caller: RouteCaller) -> None:
        """Ids of nothing, within and beyond what a column holds, are answered 404."""
        for operation in caller.operations:
            if operation.has_parameters:
                for absent in ABSENT:
                    answer = await caller.send(operation, parameter=absent)
                    if operation.takes_form:
                        caller.expect_error(answer, f"to id {absent}")
                    else:
                        caller.expect(answer, 404, f"to id {absent}")
        assert caller.complaints == []

    async def test_what_is_not_valid_is_told(self, caller: RouteCaller) -> None:
        """Bodies that are no object, and fields of the wrong type, are answered 422 (or 400) and never 500."""
        for operation in caller.operations:
            if (schema := operation.body_schema) is not None:
                for body in UNREADABLE:
                    caller.expect_error(await caller.send(operation, data=body), f"to the body {body!r}")
                for name in schema.load_fields:
                    for wrong in ({"a": [1]}, "\0", 2**70):
                        changed = {**(operation.sample or {}), name: wrong}
                        caller.expect_known(await caller.send(operation, json=changed), f"to {name}={wrong!r}")
            elif operation.takes_form:
                caller.expect_known(await caller.send(operation, data=b"no form"), "to what is no form")
        assert caller.complaints == []

    async def test_answers_are_as_documented(self, caller: RouteCaller) -> None:
        """What is added, read, changed and deleted is answered with a documented status, and a body of its schema."""
        for operation in sorted(caller.operations, key=Operation.turn):
            answer = await caller.send(operation, parameter=caller.known)
            caller.expect_known(answer, "to a usual request")
            caller.remember(operation, answer)
        assert caller.complaints == []

    async def test_migrations_lead_to_the_models(self, empty_database_url: str) -> None:
        """All migrations apply to an empty database, and leave nothing to be migrated."""
        given = {**self.settings, "log": {"level": "WARNING"}, "database": {"url": empty_database_url}}
        site = Installation.of(load_settings(None, **given), select(discover(), [self.slug]))
        async with site.connected() as database:
            applied = await migrate(database, site.contributions)
            assert applied
            assert await pending(database) == []
        if any(it.plugin.slug == self.slug and it.models for it in site.contributions):
            missing = await asyncio.to_thread(draft, self.slug)
            assert missing is None, f"models have changed: run jobbergate-server makemigrations {self.slug}"

    async def test_the_server_stops_cleanly(self, make_app: "MakeApp") -> None:
        """What the plugin has started has ended when the server has stopped, without an error in the log."""
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
            served.app[DATABASE].client  # noqa: B018 - it is asked for
