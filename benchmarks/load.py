"""Load from wrk: the requests, and the figures that wrk prints."""

import json
import math
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 60
"""Seconds after which wrk stops waiting for a response."""
LONGEST = 20
"""Seconds of a round, at most."""

SCRIPT = """
wrk.method = "{method}"
wrk.headers["Authorization"] = "Bearer {token}"
{body}
{request}
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"slowest":%.3f,"failures":%d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""
BODY = """
wrk.headers["Content-Type"] = "application/json"
wrk.body = {body}
"""
TURNS = """
local turn = -1
function request()
  turn = (turn + 1) % {count}
  return wrk.format(nil, (string.gsub("{path}", "{{id}}", tostring({first} + turn * {step}))))
end
"""


class LoadError(Exception):
    """A round with error responses, or without responses."""


@dataclass(frozen=True, slots=True)
class Call:
    """A repeated request. ``{id}`` in its path takes each of ``ids`` in turn."""

    path: str
    method: str = "GET"
    body: str | None = None
    ids: range = range(0)

    @property
    def first_path(self) -> str:
        """The path of the first request."""
        return self.path.replace("{id}", str(self.ids[0])) if self.ids else self.path


@dataclass(frozen=True, slots=True)
class Load:
    """The figures of one run of wrk. ``seconds`` is its duration; the other times are milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    slowest: float


def find_wrk() -> str | None:
    """Return the path of wrk; None if it is not installed."""
    return shutil.which("wrk")


def lua(call: Call, token: str) -> str:
    """Return the script for wrk, which sends the requests and prints the figures as JSON."""
    ids = call.ids
    turns = TURNS.format(path=call.path, count=len(ids), first=ids.start, step=ids.step) if ids else ""
    # An ASCII string in JSON is also a string in Lua.
    body = BODY.format(body=json.dumps(call.body)) if call.body is not None else ""
    return SCRIPT.format(method=call.method, token=token, body=body, request=turns)


def parse(printed: str) -> Load:
    """Parse the figures that the script has printed.

    Raises:
        LoadError: A request failed, or no response arrived.
    """
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadError(f"wrk printed no figures: {printed}")
    seen = json.loads(lines[-1])
    failures = seen.pop("failures")
    if failures:
        raise LoadError(f"{failures} of {seen['requests']} requests failed")
    if not seen["requests"]:
        raise LoadError(f"no response within {seen['seconds']} seconds")
    return Load(**seen)


def duration(seconds: int, connections: int, answer: float) -> int:
    """Return the seconds of a round: three responses of ``answer`` seconds per connection, within limits."""
    return max(seconds, min(LONGEST, math.ceil(3 * answer * connections)))


def run(url: str, call: Call, token: str, *, connections: int, seconds: int) -> Load:
    """Send the requests for so many seconds, over so many connections."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "requests.lua"
        script.write_text(lua(call, token))
        sides = ["--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"]
        done = subprocess.run(  # noqa: S603 - wrk
            [find_wrk() or "wrk", *sides, "--timeout", f"{TIMEOUT}s", "--script", script, url + call.first_path],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise LoadError(done.stderr or done.stdout)
    return parse(done.stdout)
