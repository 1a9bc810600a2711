"""The settings of the plugin."""

from __future__ import annotations

import pytest

from jobbergate_server.errors import StartError
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import load_settings


def read(**table: object) -> dict[str, object]:
    settings = load_settings(None, plugins={"prometheus": table})
    contributions = collect(Plugins(discover(), settings.plugins), settings)
    (model,) = (it.context.settings for it in contributions if it.plugin.slug == "prometheus")
    assert model is not None
    return model.model_dump()


def test_there_is_no_port_unless_it_is_set() -> None:
    assert read() == {"host": "127.0.0.1", "port": None}


def test_a_port_is_enough() -> None:
    assert read(port=9464) == {"host": "127.0.0.1", "port": 9464}


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({"port": 0}, "port: Input should be greater than or equal to 1"),
        ({"port": 65536}, "port: Input should be less than or equal to 65535"),
        ({"host": ""}, "host: String should have at least 1 character"),
        ({"path": "/metrics"}, "path: unknown key"),
    ],
)
def test_what_cannot_be_is_told_with_its_key(table: dict[str, object], error: str) -> None:
    with pytest.raises(StartError) as failure:
        read(**table)
    assert f"plugins.prometheus.{error}" in str(failure.value).splitlines()
