"""E-mail notifications: owners of job submissions learn why a cluster has rejected them."""

from jobbergate_email_notifications.delivery import deliver
from jobbergate_email_notifications.message import rejection_mail
from jobbergate_email_notifications.settings import EmailNotifications
from jobbergate_job_submissions.agents import REJECTED
from jobbergate_server import Event, PluginContext, Section, hookimpl


@hookimpl
def register_settings() -> type[Section]:
    """The mail server, and how to talk to it."""
    return EmailNotifications


@hookimpl
async def on_event(event: Event, context: PluginContext) -> None:
    """Send a mail for a rejection that has a reason, where a mail server is known."""
    settings = context.settings
    if event.name != REJECTED or not isinstance(settings, EmailNotifications) or settings.host is None:
        return
    if event.data["report_message"]:
        await deliver(settings, event.data["id"], lambda sender: rejection_mail(sender, event.data))
