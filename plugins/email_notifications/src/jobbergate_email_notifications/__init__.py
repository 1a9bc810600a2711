"""E-mail notifications: the plugin notifies owners of rejected job submissions."""

from collections.abc import Awaitable

from jobbergate_email_notifications.rejections import notify
from jobbergate_email_notifications.settings import EmailNotifications
from jobbergate_job_submissions.api import REJECTED
from jobbergate_server import Event, PluginContext, Section, hookimpl


@hookimpl
def register_settings() -> type[Section]:
    """Return the settings of the mail server."""
    return EmailNotifications


@hookimpl
def on_event(event: Event, context: PluginContext[EmailNotifications]) -> Awaitable[None] | None:
    """Send the reason of a rejection to the owner if a mail server is configured."""
    if event.name == REJECTED.name and context.settings.host is not None:
        return notify(context.settings, event.data)
    return None
