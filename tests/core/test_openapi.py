"""The API document: valid, the same every time, complete for every operation, and true of what the server answers."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from aiohttp import FormData
from documents import check, resolved
from openapi_spec_validator import OpenAPIV31SpecValidator
from openapi_spec_validator import validate as validate_document

from jobbergate_devkit.testing import Client, Served
from jobbergate_server import PUBLIC, Permission, __version__
from jobbergate_server.app import create_app
from jobbergate_server.openapi import DOCUMENT, build_document
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import load_settings

SETTINGS = load_settings(oidc={"issuer": "http://127.0.0.1:8000/oidc"})
CONTRIBUTIONS = collect(Plugins(discover(), SETTINGS.plugins), SETTINGS)
ROUTES = {
    (route.method, route.location(contribution.plugin.slug)): (contribution, route)
    for contribution in CONTRIBUTIONS
    for route in contribution.routes
}
DOCUMENT_OF_ALL: dict[str, Any] = orjson.loads(orjson.dumps(build_document(CONTRIBUTIONS)))
OPERATIONS: dict[tuple[str, str], dict[str, Any]] = {
    (method.upper(), path): operation
    for path, item in DOCUMENT_OF_ALL["paths"].items()
    for method, operation in item.items()
}
LISTS = ["/applications", "/job-scripts", "/job-submissions"]

every_operation = pytest.mark.parametrize(("method", "path"), list(OPERATIONS), ids=str)


def contents(document: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Every body of the document: its operation, its status or `request`, its content type, and what is said of it."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            bodies = {"request": operation["requestBody"]} if "requestBody" in operation else {}
            for status, response in (bodies | operation["responses"]).items():
                for content_type, content in resolved(document, response).get("content", {}).items():
                    yield f"{method} {path}", status, content_type, content


def schemas(value: object) -> Iterator[dict[str, Any]]:
    """Every JSON object in the document that says what a value is."""
    if isinstance(value, dict):
        if {"type", "enum", "anyOf", "oneOf", "$ref"} & value.keys():
            yield value
        for key, inner in value.items():
            if key not in ("example", "examples", "default"):
                yield from schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas(inner)


def example(method: str, path: str) -> dict[str, Any]:
    """The example of the request's body."""
    content = OPERATIONS[method, path]["requestBody"]["content"]["application/json"]
    return dict(content["example"])


def form(field: str, **files: str) -> FormData:
    """A form with files in ``field``; a dot in their names is written as two underscores."""
    data = FormData()
    for name, text in files.items():
        data.add_field(field, text, filename=name.replace("__", "."), content_type="text/plain")
    return data


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT_OF_ALL["openapi"].startswith("3.1.")
    validate_document(DOCUMENT_OF_ALL, cls=OpenAPIV31SpecValidator)


def test_two_applications_in_one_process_have_the_same_document() -> None:
    first, second = create_app(SETTINGS), create_app(SETTINGS)
    assert first[DOCUMENT] == second[DOCUMENT] == orjson.dumps(DOCUMENT_OF_ALL)


def test_the_document_describes_this_project_and_names_nobody() -> None:
    info = DOCUMENT_OF_ALL["info"]
    assert (info["title"], info["version"], info["license"]["identifier"]) == ("Jobbergate Server", __version__, "MIT")
    for word in ("Applications", "Job scripts", "Job submissions", "token", "UTC"):
        assert word in info["description"]
    assert "contact" not in info
    assert DOCUMENT_OF_ALL["servers"] == [{"url": "/jobbergate"}]


def test_every_route_is_an_operation() -> None:
    assert OPERATIONS.keys() == ROUTES.keys()


def test_every_plugin_is_a_tag_with_the_first_line_of_its_docstring() -> None:
    tags = {tag["name"]: tag["description"] for tag in DOCUMENT_OF_ALL["tags"]}
    assert tags["applications"] == "Applications: templates that users render into job scripts."
    assert list(tags) == [contribution.plugin.slug for contribution in CONTRIBUTIONS if contribution.routes]


def test_no_two_paths_differ_in_the_names_of_their_parameters_alone() -> None:
    """They would be the same path twice (OpenAPI 3.1.1, section 4.8.8.2)."""
    shapes = [re.sub(r"\{[^}]*\}", "{}", path) for path in DOCUMENT_OF_ALL["paths"]]
    assert sorted(set(shapes)) == sorted(shapes)


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert sorted(set(ids)) == sorted(ids)


@every_operation
def test_an_operation_tells_what_it_does_and_what_it_needs(method: str, path: str) -> None:
    operation = OPERATIONS[method, path]
    contribution, route = ROUTES[method, path]
    assert operation["tags"] == [contribution.plugin.slug]
    assert operation["summary"]
    assert not operation["summary"].endswith(".")
    paragraphs = operation["description"].split("\n\n")
    assert len(paragraphs) > 1
    if isinstance(route.permission, Permission):
        assert paragraphs[-1] == f"Needs the permission `{route.permission.name}`."
    assert operation.get("security") == (None if route.permission is PUBLIC else [{"bearer": []}])
    assert DOCUMENT_OF_ALL["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


@every_operation
def test_an_operation_has_the_errors_that_the_server_can_answer(method: str, path: str) -> None:
    operation = OPERATIONS[method, path]
    statuses = operation["responses"].keys()
    assert all(status.isdigit() for status in statuses)
    assert any(status.startswith("2") for status in statuses)
    assert ({"401", "403", "503"} <= statuses) is (ROUTES[method, path][1].permission is not PUBLIC)
    if "{" in path:
        assert "404" in statuses
    if "requestBody" in operation:
        assert {"400", "408", "413", "422"} <= statuses
    for status in statuses & {"400", "401", "403", "404", "408", "409", "413", "422", "503"} - {
        "503" if path == "/ready" else ""
    }:
        response = resolved(DOCUMENT_OF_ALL, operation["responses"][status])
        assert response["content"]["application/json"]["schema"]["required"] == ["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/applications", "409"),
        ("PUT", "/applications/{application_id}", "409"),
        ("DELETE", "/applications", "404"),
        ("POST", "/job-scripts", "404"),
        ("POST", "/job-submissions", "404"),
        ("GET", "/job-submissions/agent/pending", "400"),
        ("GET", "/job-submissions/agent/active", "400"),
    ],
)
def test_errors_that_only_a_handler_knows_are_declared(method: str, path: str, status: str) -> None:
    response = OPERATIONS[method, path]["responses"][status]
    assert response["description"]
    assert "application/json" in response["content"]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_its_parameters_and_its_envelope(path: str) -> None:
    operation = OPERATIONS["GET", path]
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert {"start", "limit", "search", "sort_field", "sort_ascending", "all"} <= parameters.keys()
    assert all(parameter["in"] == "query" and parameter["description"] for parameter in parameters.values())
    assert parameters["start"]["schema"]["minimum"] == 0
    assert (parameters["limit"]["schema"]["minimum"], parameters["limit"]["schema"]["default"]) == (1, 10)
    assert "created_at" in parameters["sort_field"]["schema"]["enum"]
    assert "`search` applies to `" in operation["description"]
    assert "sorted" in operation["responses"]["400"]["description"]
    envelope = operation["responses"]["200"]["content"]["application/json"]
    assert envelope["example"].keys() == {"results", "pagination"}
    properties = resolved(DOCUMENT_OF_ALL, envelope["schema"])["properties"]
    assert properties["results"]["type"] == "array"
    item = resolved(DOCUMENT_OF_ALL, properties["results"]["items"])
    assert {"id", "created_at", "updated_at"} <= set(item["required"])
    pagination = resolved(DOCUMENT_OF_ALL, properties["pagination"])["properties"]
    assert {name: schema["type"] for name, schema in pagination.items()} == {
        "total": "integer",
        "start": ["integer", "null"],
        "limit": ["integer", "null"],
    }


def test_ids_in_paths_are_integers() -> None:
    ids = [
        parameter
        for operation in OPERATIONS.values()
        for parameter in operation["parameters"]
        if parameter["in"] == "path" and parameter["name"].endswith("_id")
        if operation["operationId"] != "get_application"  # which takes an identifier as well
    ]
    assert len(ids) > len(LISTS)
    for parameter in ids:
        assert parameter["required"] is True
        assert parameter["schema"]["type"] == "integer"
        assert parameter["description"]


def test_parameters_of_a_path_are_those_that_stand_in_it() -> None:
    for (_, path), operation in OPERATIONS.items():
        names = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
        assert sorted(names) == sorted(part[1:-1] for part in path.split("/") if part.startswith("{"))


def test_values_that_can_be_null_are_so_by_their_type() -> None:
    found = list(schemas(DOCUMENT_OF_ALL))
    assert not [schema for schema in found if "nullable" in schema]
    application = DOCUMENT_OF_ALL["components"]["schemas"]["Application"]["properties"]
    assert application["application_identifier"]["type"] == ["string", "null"]
    assert application["application_name"]["type"] == "string"


def test_schemas_have_examples_in_the_keyword_of_json_schema() -> None:
    properties = [
        schema
        for component in DOCUMENT_OF_ALL["components"]["schemas"].values()
        for schema in component["properties"].values()
    ]
    assert any("examples" in schema for schema in properties)
    assert not [schema for schema in properties if "example" in schema]


def test_the_states_of_a_submission_are_enumerated() -> None:
    status = DOCUMENT_OF_ALL["components"]["schemas"]["JobSubmission"]["properties"]["status"]
    assert status["enum"] == ["CREATED", "SUBMITTED", "COMPLETED", "FAILED", "UNKNOWN", "REJECTED"]
    (parameter,) = (it for it in OPERATIONS["GET", "/job-submissions"]["parameters"] if it["name"] == "submit_status")
    assert parameter["schema"]["enum"] == status["enum"]


def test_only_execution_parameters_refuse_unknown_keys() -> None:
    components = DOCUMENT_OF_ALL["components"]["schemas"]
    closed = [name for name, schema in components.items() if schema.get("additionalProperties") is False]
    assert closed == ["ExecutionParameters"]


def test_every_example_is_valid() -> None:
    checked = 0
    for operation, status, content_type, content in contents(DOCUMENT_OF_ALL):
        if "example" in content:
            assert content_type == "application/json", (operation, status)
            check(content["example"], content["schema"], DOCUMENT_OF_ALL)
            checked += 1
    for schema in schemas(DOCUMENT_OF_ALL):
        for example in schema.get("examples", []):
            check(example, schema, DOCUMENT_OF_ALL)
            checked += 1
        if "default" in schema:
            check(schema["default"], schema, DOCUMENT_OF_ALL)
    assert checked > len(OPERATIONS)


def test_every_json_body_has_an_example() -> None:
    without = [
        (operation, status)
        for operation, status, content_type, content in contents(DOCUMENT_OF_ALL)
        if content_type == "application/json" and "example" not in content
    ]
    assert without == [("get /openapi.json", "200")]


async def test_what_the_server_answers_is_what_the_document_says(api: Client, served: Served) -> None:
    async def send(
        method: str,
        template: str,
        status: int,
        *,
        client: Client = api,
        json: object = None,
        data: FormData | None = None,
        query: dict[str, str] | None = None,
        **path: object,
    ) -> Any:  # noqa: ANN401 - whatever the server answers
        url = "/jobbergate" + template.format(**path)
        response = await client.request(method, url, json=json, data=data, params=query)
        assert response.status == status, await response.text()
        declared = resolved(DOCUMENT_OF_ALL, OPERATIONS[method, template]["responses"][str(status)])
        body = await response.read()
        if "content" not in declared:
            assert body == b""
            return None
        content = declared["content"][response.content_type]
        if response.content_type != "application/json":
            return None
        answer = orjson.loads(body)
        check(answer, content["schema"], DOCUMENT_OF_ALL)
        return answer

    for path, status in (("/health", 204), ("/ready", 200), ("/plugins", 200), ("/openapi.json", 200), ("/docs", 200)):
        await send("GET", path, status)

    application = await send("POST", "/applications", 201, json=example("POST", "/applications"))
    source = "class JobbergateApplication:\n    pass\n"
    config = "application_config: {}\njobbergate_config: {default_template: main.sh.j2}\n"
    files = form("upload_files", jobbergate__py=source, jobbergate__yaml=config, main__sh__j2="#!/bin/bash\nhostname\n")
    upload = "/applications/{application_id}/upload"
    assert await send("POST", upload, 201, data=files, application_id=application["id"]) is None
    body = example("POST", "/job-scripts") | {"application_id": application["id"]}
    script = await send("POST", "/job-scripts", 201, json=body)
    main = form("job_script_file", main__sh="#!/bin/bash\n#SBATCH --ntasks=2\nhostname\n")
    await send("POST", "/job-scripts/{job_script_id}/upload", 200, data=main, job_script_id=script["id"])
    await send("GET", "/job-scripts/{job_script_id}", 200, job_script_id=script["id"])
    await send("GET", "/job-scripts/{job_script_id}/download", 200, job_script_id=script["id"])
    submission = await send(
        "POST", "/job-submissions", 201, json=example("POST", "/job-submissions") | {"job_script_id": script["id"]}
    )
    agent = "/job-submissions/agent/{job_submission_id}"
    (pending,) = await send("GET", "/job-submissions/agent/pending", 200)
    await send("PUT", agent, 200, json=example("PUT", agent), job_submission_id=pending["id"])
    (active,) = await send("GET", "/job-submissions/agent/active", 200)
    assert pending["id"] == active["id"] == submission["id"]
    for path in LISTS:
        (row,) = (await send("GET", path, 200, query={"start": "0"}))["results"]
        assert isinstance(row["id"], int)
        await send("GET", path, 400, query={"sort_field": "nothing"})
        await send("GET", path, 401, client=served.client())
        await send("GET", path, 403, client=served.client_as("other"))
        await send("GET", path, 422, query={"limit": "0", "sort_ascending": "perhaps"})

    await send("GET", "/applications/{application_id}", 200, application_id=application["id"])
    await send("GET", "/applications/{application_id}", 404, application_id="nothing")
    await send("GET", "/job-scripts/{job_script_id}", 404, job_script_id=0)
    await send("GET", "/job-scripts/{job_script_id}", 422, job_script_id="x")
    await send("GET", "/job-submissions/{job_submission_id}", 200, job_submission_id=submission["id"])
    somebody = served.client_as(email="somebody@example.com")
    for path, name, row in (
        ("/applications/{application_id}", "application_id", application),
        ("/job-scripts/{job_script_id}", "job_script_id", script),
        ("/job-submissions/{job_submission_id}", "job_submission_id", submission),
    ):
        changes = {key: value for key, value in example("PUT", path).items() if key in row}
        await send("PUT", path, 200, json=changes, **{name: row["id"]})
        await send("PUT", path, 403, client=somebody, json=changes, **{name: row["id"]})
        await send("PUT", path, 422, json=[], **{name: row["id"]})
        await send("DELETE", path, 204, **{name: row["id"]})
        await send("DELETE", path, 404, **{name: row["id"]})
