"""E-mail notifications: owners of job submissions learn why a cluster has rejected them."""

from collections.abc import Awaitable

from jobbergate_email_notifications.rejections import notify
from jobbergate_email_notifications.settings import EmailNotifications
from jobbergate_job_submissions.api import REJECTED
from jobbergate_server import Event, PluginContext, Section, hookimpl


@hookimpl
def register_settings() -> type[Section]:
    """The mail server, and how to talk to it."""
    return EmailNotifications


@hookimpl
def on_event(event: Event, context: PluginContext[EmailNotifications]) -> Awaitable[None] | None:
    """Mail the reason of a rejection to the owner, where a mail server is configured."""
    if event.name == REJECTED.name and context.settings.host is not None:
        return notify(context.settings, event.data)
    return None
