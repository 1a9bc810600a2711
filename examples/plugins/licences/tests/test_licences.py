"""The routes of licences, on SQLite and on PostgreSQL."""

from jobbergate_devkit.testing import MakeApp, conformance

TestConformance = conformance("licences")


async def test_added_rows_are_listed(make_app: MakeApp) -> None:
    served = await make_app()
    editor = served.client_as("jobbergate:licences:edit")
    for body in ({"feature": "cfd", "seats": 4}, {"feature": "mesh", "seats": 1}):
        assert (await editor.post("/jobbergate/licences", json=body)).status == 201

    viewer = served.client_as("jobbergate:licences:view")
    mesh = {"id": 2, "feature": "mesh", "seats": 1}
    answer = await viewer.get("/jobbergate/licences", params={"search": "MESH"})
    assert await answer.json() == {"results": [mesh], "pagination": {"total": 1, "start": None, "limit": None}}
    assert (await viewer.post("/jobbergate/licences", json=mesh)).status == 403


async def test_a_licence_has_seats_and_is_the_only_one_of_its_feature(make_app: MakeApp) -> None:
    client = (await make_app()).client_as()
    assert (await client.post("/jobbergate/licences", json={"feature": "cfd", "seats": 0})).status == 422
    assert (await client.post("/jobbergate/licences", json={"feature": "cfd", "seats": 1})).status == 201
    assert (await client.post("/jobbergate/licences", json={"feature": "cfd", "seats": 2})).status == 409
