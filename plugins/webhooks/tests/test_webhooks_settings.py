"""The settings of the plugin: what is wrong with them is told under the name of the key."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jobbergate_server.settings import problems
from jobbergate_webhooks.settings import Webhooks

NETWORK = "must be an IP network such as 10.20.0.0/16, or an IP address"
LIST = "must be a list; in an environment variable, a JSON array"


def test_by_default_nothing_private_is_allowed_and_a_delivery_is_tried_for_three_days() -> None:
    settings = Webhooks()
    assert settings.allowed_networks == []
    assert settings.timeout == 15
    assert sum(settings.retry_after) == 75 * 3600 + 35 * 60 + 5


def test_networks_of_both_kinds_and_single_addresses_can_be_allowed() -> None:
    settings = Webhooks.model_validate({"allowed_networks": ["10.0.0.0/8", "fd00::/8", "192.168.1.7"]})
    assert [str(it) for it in settings.allowed_networks] == ["10.0.0.0/8", "fd00::/8", "192.168.1.7/32"]


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({"allowed_networks": ["10.0.0.0/8", "10.0.0.1/8"]}, f"allowed_networks.1: {NETWORK}"),
        ({"allowed_networks": ["portal.site.local"]}, f"allowed_networks.0: {NETWORK}"),
        ({"allowed_networks": "10.0.0.0/8"}, f"allowed_networks: {LIST}"),
        ({"timeout": 0}, "timeout: Input should be greater than 0"),
        ({"timeout": float("inf")}, "timeout: Input should be less than or equal to 300"),
        ({"retry_after": [5, 0]}, "retry_after.1: Input should be greater than or equal to 0.01"),
        ({"retry_after": [1e9]}, "retry_after.0: Input should be less than or equal to 2592000"),
        ({"retry": [5]}, "retry: unknown key"),
    ],
)
def test_what_cannot_be_is_told_with_its_key(table: dict[str, object], error: str) -> None:
    with pytest.raises(ValidationError) as failure:
        Webhooks.model_validate(table)
    assert problems(failure.value) == [error]
