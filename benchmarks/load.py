"""Load from wrk: what is asked for, and what wrk says of the answers."""

import json
import math
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 60
"""Seconds that wrk waits for an answer."""
LONGEST = 20
"""Seconds that a round takes at the most, however slow the answers are."""

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
    """A round is worth nothing: answers were errors, or there were none."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is made again and again; ``{id}`` in its path stands for each of ``ids`` in turn."""

    path: str
    method: str = "GET"
    body: str | None = None
    ids: range = range(0)

    @property
    def first_path(self) -> str:
        """The path of the first one."""
        return self.path.replace("{id}", str(self.ids[0])) if self.ids else self.path


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk has seen; times are milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    slowest: float


def find_wrk() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("wrk")


def lua(call: Call, token: str) -> str:
    """The script that lets wrk make the requests and print what it has seen as JSON."""
    ids = call.ids
    turns = TURNS.format(path=call.path, count=len(ids), first=ids.start, step=ids.step) if ids else ""
    # A string of JSON is one of Lua as well, as long as all of it is ASCII.
    body = BODY.format(body=json.dumps(call.body)) if call.body is not None else ""
    return SCRIPT.format(method=call.method, token=token, body=body, request=turns)


def parse(printed: str) -> Load:
    """What wrk has seen, from what the script has printed.

    Raises:
        LoadError: There were errors, or no answers.
    """
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    if not lines:
        raise LoadError(f"wrk says nothing of its requests: {printed}")
    seen = json.loads(lines[-1])
    failures = seen.pop("failures")
    if failures:
        raise LoadError(f"{failures} of {seen['requests']} requests failed")
    if not seen["requests"]:
        raise LoadError(f"nothing was answered in {seen['seconds']} seconds")
    return Load(**seen)


def duration(seconds: int, connections: int, answer: float) -> int:
    """How long a round takes when one ``answer`` takes that many seconds: three answers a connection, within limits."""
    return max(seconds, min(LONGEST, math.ceil(3 * answer * connections)))


def run(url: str, call: Call, token: str, *, connections: int, seconds: int) -> Load:
    """Make the requests for so many seconds, over so many connections."""
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
