"""The settings of the plugin: what is wrong with them is told under the name of the key, and never with a password."""

from __future__ import annotations

from typing import Any

import pytest

from jobbergate_server.errors import StartError
from jobbergate_server.plugins.contributions import collect
from jobbergate_server.plugins.discovery import discover
from jobbergate_server.plugins.registry import Plugins
from jobbergate_server.settings import load_settings

PASSWORD = "correct horse battery staple"  # noqa: S105 - that of nobody
MAIL_SERVER = {"host": "smtp.example.com", "sender": "jobbergate@example.com"}


def refused(**table: object) -> list[str]:
    """What is said of the plugin's table, without the hint below it."""
    settings = load_settings(None, plugins={"email_notifications": table})
    with pytest.raises(StartError) as failure:
        collect(Plugins(discover(), settings.plugins), settings)
    assert PASSWORD not in str(failure.value)
    return str(failure.value).splitlines()[:-1]


def accepted(**table: object) -> dict[str, Any]:
    settings = load_settings(None, plugins={"email_notifications": table})
    contributions = collect(Plugins(discover(), settings.plugins), settings)
    (model,) = (it.context.settings for it in contributions if it.plugin.slug == "email-notifications")
    assert model is not None
    assert PASSWORD not in f"{model!r} {model} {model.model_dump_json()}"
    return model.model_dump()


def test_a_mail_server_and_a_sender_are_enough() -> None:
    assert accepted(**MAIL_SERVER) == {
        **MAIL_SERVER,
        "port": None,
        "tls": "starttls",
        "user": None,
        "password": None,
        "timeout": 10,
    }


@pytest.mark.parametrize("sender", ["jobbergate@headnode", "noreply@site.local", "o'neill+jobs@example.com"])
def test_a_sender_may_have_a_name_of_the_sites_own(sender: str) -> None:
    assert accepted(host="10.0.0.1", sender=sender)["sender"] == sender


def test_a_login_may_be_set() -> None:
    assert accepted(**MAIL_SERVER, user="jobbergate", password=PASSWORD)["user"] == "jobbergate"


@pytest.mark.parametrize(
    ("table", "errors"),
    [
        ({"host": "smtp.example.com"}, ["sender: must be set, because host is"]),
        ({**MAIL_SERVER, "user": "jobbergate"}, ["password: must be set together with user"]),
        ({**MAIL_SERVER, "password": PASSWORD}, ["password: must be set together with user"]),
        ({**MAIL_SERVER, "user": "x", "password": [PASSWORD]}, ["password: Input should be a valid string"]),
        ({**MAIL_SERVER, "tls": "ssl"}, ["tls: Input should be 'starttls', 'tls' or 'none'"]),
        ({**MAIL_SERVER, "port": 65536}, ["port: Input should be less than or equal to 65535"]),
        ({**MAIL_SERVER, "timeout": 0}, ["timeout: Input should be greater than 0"]),
        ({**MAIL_SERVER, "subject": "Hello"}, ["subject: unknown key"]),
    ],
)
def test_what_cannot_be_is_told_with_its_key(table: dict[str, object], errors: list[str]) -> None:
    assert refused(**table) == [f"plugins.email-notifications.{error}" for error in errors]


@pytest.mark.parametrize("host", ["", " ", "smtp://mail.example.com", "user@mail", "mail\r\nQUIT"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert refused(**{**MAIL_SERVER, "host": host}) == [
        "plugins.email-notifications.host: must be a host name or an IP address"
    ]


@pytest.mark.parametrize("sender", ["", "jobbergate", "a@b, c@d", "Jobbergate <a@example.com>", "a@b\r\nBcc: c@d"])
def test_a_sender_is_one_address(sender: str) -> None:
    assert refused(**{**MAIL_SERVER, "sender": sender}) == [
        "plugins.email-notifications.sender: must be an e-mail address such as jobbergate@example.com"
    ]
