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
    """Parse the single e-mail address in ``text``, for a header of a mail.

    Raises:
        ValueError: The text is not an e-mail address.
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
    """The mail server that delivers the notifications, and their sender."""

    host: Annotated[str, AfterValidator(_host)] | None = None
    """The host of the mail server. Without it, the plugin sends no mails."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The port of the mail server. It defaults to 587 with `starttls`, 465 with `tls` and 25 with `none`."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """The encryption of the connection: `starttls`, `tls` from the first byte on, or `none`."""
    user: str | None = None
    """The user name. Without it, the plugin does not authenticate."""
    password: Annotated[SecretStr | None, Field(validate_default=True)] = None
    """The password, set together with `user`."""
    sender: Annotated[Annotated[str, AfterValidator(_sender)] | None, Field(validate_default=True)] = None
    """The address in the header From, required with `host`."""
    timeout: PositiveFloat = 10
    """Seconds within which the mail server must accept a mail."""

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
