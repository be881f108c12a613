"""What the doctor says of the gateway: what keeps work from coming in, and news from going out."""

from collections.abc import Mapping
from pathlib import Path

from kugetsu.app.doctor import Finding
from kugetsu.config import Settings
from kugetsu.config.daemon import running_daemon
from kugetsu.errors import RecordError
from kugetsu.gateway.notifications import problems as of_notifications
from kugetsu.gateway.webhooks import problems as of_webhooks


def examine_gateway(settings: Settings, home: Path, environ: Mapping[str, str]) -> list[Finding]:
    """Look at it. Never raises for what it finds."""
    findings = [_server(home)]
    findings += [
        Finding("webhook", "missing", problem, "see docs/webhooks.md") for problem in of_webhooks(settings, environ)
    ]
    findings += [
        Finding("news", "missing", problem, "see docs/notifications.md")
        for problem in of_notifications(settings, environ)
    ]
    if settings.webhooks and not any(finding.name == "webhook" for finding in findings):
        findings.append(Finding("webhooks", "ok", ", ".join(settings.webhooks)))
    if settings.notify and not any(finding.name == "news" for finding in findings):
        findings.append(Finding("news", "ok", f"go to {', '.join(settings.notify)}"))
    return findings


def _server(home: Path) -> Finding:
    try:
        holder = running_daemon(home)
    except RecordError as error:
        return Finding("server", "missing", error.message, error.fix)
    if holder is None:
        return Finding("server", "optional", "none works on the queue", "`kugetsu serve` does")
    where = f", listens on {holder.url}" if holder.url else ", does not listen"
    return Finding("server", "ok", f"{holder.name} (process {holder.pid}){where}")
