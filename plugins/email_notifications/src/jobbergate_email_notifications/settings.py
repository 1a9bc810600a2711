"""The settings of the plugin."""

import re
from email.headerregistry import Address
from typing import Annotated, Literal

import email_validator
from pydantic import AfterValidator, Field, PositiveFloat, SecretStr, ValidationInfo, field_validator

from jobbergate_server import Section


def _host(text: str) -> str:
    if not re.fullmatch(r"[^\s/@]+", text):
        raise ValueError("must be a host name or an IP address")
    return text


def address(text: str) -> Address:
    """The e-mail address in ``text``, which is one and no more, as it stands in a mail's header.

    Raises:
        ValueError: It is not one.
    """
    try:
        email_validator.validate_email(text, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError:
        raise ValueError("must be an e-mail address such as jobbergate@example.com") from None
    user, _, domain = text.rpartition("@")
    return Address(username=user, domain=domain)


def _sender(text: str) -> str:
    address(text)
    return text


class EmailNotifications(Section):
    """The mail server that tells owners of a rejection, and whom its mails come from."""

    host: Annotated[str, AfterValidator(_host)] | None = None
    """The mail server; without one, no mails are sent."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The mail server's port; unless set, 587 with `starttls`, 465 with `tls` and 25 with `none`."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: by STARTTLS, from its first byte on, or not at all."""
    user: str | None = None
    """The name to log in with; unless set, there is no login."""
    password: Annotated[SecretStr | None, Field(validate_default=True)] = None
    """The password to log in with; set together with `user`."""
    sender: Annotated[Annotated[str, AfterValidator(_sender)] | None, Field(validate_default=True)] = None
    """The e-mail address that mails come from; required with `host`."""
    timeout: PositiveFloat = 10
    """Seconds in which the mail server must have taken a mail."""

    @field_validator("password")
    @classmethod
    def _belongs_to_user(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (password is None) != (info.data.get("user") is None):
            raise ValueError("must be set together with user")
        return password

    @field_validator("sender")
    @classmethod
    def _belongs_to_host(cls, sender: str | None, info: ValidationInfo) -> str | None:
        if sender is None and info.data.get("host") is not None:
            raise ValueError("must be set, because host is")
        return sender
