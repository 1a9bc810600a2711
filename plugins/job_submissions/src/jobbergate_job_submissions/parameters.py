"""The execution parameters of a submission, under the names of Slurm's REST API.

One table lists the type of each parameter and the options of `sbatch` that set it (sbatch(1) of Slurm). Validation, the
API document and the parser of `#SBATCH` lines derive from it.
"""

import re
from dataclasses import dataclass
from typing import Any

import marshmallow as ma

from jobbergate_server import Schema, fields


@dataclass(frozen=True, slots=True)
class Option:
    """An option of `sbatch`: its names, and its arguments for argparse."""

    names: tuple[str, ...]
    behaviour: dict[str, Any]


def text(names: str) -> Option:
    """Return an option with a text value."""
    return Option(tuple(names.split()), {})


def number(names: str) -> Option:
    """Return an option with an integer value."""
    return Option(tuple(names.split()), {"type": int})


def flag(names: str, value: object) -> Option:
    """Return an option without a value, which sets ``value``."""
    return Option(tuple(names.split()), {"action": "store_const", "const": value})


def optional(names: str, value: object, convert: type = str) -> Option:
    """Return an option with an optional value, which defaults to ``value``."""
    return Option(tuple(names.split()), {"nargs": "?", "const": value, "type": convert})


class Parameter:
    """An execution parameter: its name, the field that validates it, and the options of `sbatch` that set it."""

    def __init__(self, name: str, field: ma.fields.Field[Any], *options: Option) -> None:
        self.name = name
        self.field = field
        self.options = options


PARAMETERS = (
    Parameter("account", fields.Text(allow_none=True), text("-A --account")),
    Parameter("account_gather_frequency", fields.Text(allow_none=True), text("--acctg-freq")),
    Parameter("argv", fields.List(fields.Text(), allow_none=True)),
    Parameter("array", fields.Text(allow_none=True), text("-a --array")),
    Parameter("batch_features", fields.Text(allow_none=True), text("--batch")),
    Parameter("begin_time", fields.Text(allow_none=True), text("-b --begin")),
    Parameter("burst_buffer", fields.Text(allow_none=True), text("--bb")),
    Parameter("cluster_constraints", fields.Text(allow_none=True), text("--cluster-constraint")),
    Parameter("comment", fields.Text(allow_none=True), text("--comment")),
    Parameter("constraints", fields.Text(allow_none=True), text("-C --constraint")),
    Parameter("core_specification", fields.Integer(allow_none=True), number("-S --core-spec")),
    Parameter("cores_per_socket", fields.Integer(allow_none=True), number("--cores-per-socket")),
    Parameter("cpu_binding", fields.Text(allow_none=True), text("--cpu-bind")),
    Parameter("cpu_binding_hint", fields.Text(allow_none=True)),
    Parameter("cpu_frequency", fields.Text(allow_none=True), text("--cpu-freq")),
    Parameter("cpus_per_gpu", fields.Text(allow_none=True), text("--cpus-per-gpu")),
    Parameter("cpus_per_task", fields.Integer(allow_none=True), number("-c --cpus-per-task")),
    Parameter("current_working_directory", fields.Text(allow_none=True), text("-D --chdir")),
    Parameter("deadline", fields.Text(allow_none=True), text("--deadline")),
    Parameter("delay_boot", fields.Integer(allow_none=True), number("--delay-boot")),
    Parameter("dependency", fields.Text(allow_none=True), text("-d --dependency")),
    Parameter("distribution", fields.Text(allow_none=True), text("-m --distribution")),
    Parameter("environment", fields.Object(values=fields.Text(), allow_none=True)),
    Parameter(
        "exclusive",
        fields.Literal("user", "mcs", "exclusive", "oversubscribe", allow_none=True),
        optional("--exclusive", "exclusive"),
        flag("-s --oversubscribe", "oversubscribe"),
    ),
    Parameter("get_user_environment", fields.Integer(ge=0, le=1, allow_none=True), number("--get-user-env")),
    Parameter("gres", fields.Text(allow_none=True), text("--gres")),
    Parameter(
        "gres_flags", fields.Literal("disable-binding", "enforce-binding", allow_none=True), text("--gres-flags")
    ),
    Parameter("gpu_binding", fields.Text(allow_none=True), text("--gpu-bind")),
    Parameter("gpu_frequency", fields.Text(allow_none=True), text("--gpu-freq")),
    Parameter("gpus", fields.Text(allow_none=True), text("-G --gpus")),
    Parameter("gpus_per_node", fields.Text(allow_none=True), text("--gpus-per-node")),
    Parameter("gpus_per_socket", fields.Text(allow_none=True), text("--gpus-per-socket")),
    Parameter("gpus_per_task", fields.Text(allow_none=True), text("--gpus-per-task")),
    Parameter("hold", fields.Boolean(allow_none=True), flag("-H --hold", True)),
    Parameter(
        "kill_on_invalid_dependency", fields.Boolean(allow_none=True), optional("--kill-on-invalid-dep", True, bool)
    ),
    Parameter("licenses", fields.Text(allow_none=True), text("-L --licenses")),
    Parameter("mail_type", fields.Text(allow_none=True), text("--mail-type")),
    Parameter("mail_user", fields.Text(allow_none=True), text("--mail-user")),
    Parameter("mcs_label", fields.Text(allow_none=True), text("--mcs-label")),
    Parameter("memory_binding", fields.Text(allow_none=True), text("--mem-bind")),
    Parameter("memory_per_cpu", fields.Integer(allow_none=True), text("--mem-per-cpu")),
    Parameter("memory_per_gpu", fields.Integer(allow_none=True), text("--mem-per-gpu")),
    Parameter("memory_per_node", fields.Text(allow_none=True), text("--mem")),
    Parameter("minimum_cpus_per_node", fields.Integer(allow_none=True), number("--mincpus")),
    Parameter("minimum_nodes", fields.Boolean(allow_none=True), flag("--use-min-nodes", True)),
    Parameter("name", fields.Text(allow_none=True), text("-J --job-name")),
    Parameter("nice", fields.Text(allow_none=True), text("--nice")),
    Parameter("no_kill", fields.Boolean(allow_none=True), flag("-k --no-kill", True)),
    Parameter("nodes", fields.Text(allow_none=True), text("-N --nodes")),
    Parameter("open_mode", fields.Literal("append", "truncate", allow_none=True), text("--open-mode")),
    Parameter("partition", fields.Text(allow_none=True), text("-p --partition")),
    Parameter("priority", fields.Text(allow_none=True), text("--priority")),
    Parameter("qos", fields.Text(allow_none=True), text("-q --qos")),
    Parameter("requeue", fields.Boolean(allow_none=True), flag("--no-requeue", False), flag("--requeue", True)),
    Parameter("reservation", fields.Text(allow_none=True), text("--reservation")),
    Parameter("signal", fields.Text(allow_none=True), text("--signal")),
    Parameter("sockets_per_node", fields.Integer(allow_none=True), number("--sockets-per-node")),
    Parameter("spread_job", fields.Boolean(allow_none=True), flag("--spread-job", True)),
    Parameter("standard_error", fields.Text(allow_none=True), text("-e --error")),
    Parameter("standard_input", fields.Text(allow_none=True), text("-i --input")),
    Parameter("standard_output", fields.Text(allow_none=True), text("-o --output")),
    Parameter("tasks", fields.Integer(allow_none=True), number("-n --ntasks")),
    Parameter("tasks_per_core", fields.Integer(allow_none=True), number("--ntasks-per-core")),
    Parameter("tasks_per_node", fields.Integer(allow_none=True), number("--ntasks-per-node")),
    Parameter("tasks_per_socket", fields.Integer(allow_none=True), number("--ntasks-per-socket")),
    Parameter("thread_specification", fields.Integer(allow_none=True), number("--thread-spec")),
    Parameter("threads_per_core", fields.Integer(allow_none=True), number("--threads-per-core")),
    Parameter("time_limit", fields.Text(allow_none=True), text("-t --time")),
    Parameter("time_minimum", fields.Integer(allow_none=True), text("--time-min")),
    Parameter("wait_all_nodes", fields.Integer(ge=0, le=1, allow_none=True), number("--wait-all-nodes")),
    Parameter("wckey", fields.Text(allow_none=True), text("--wckey")),
)

UNSUPPORTED = (
    text("--bbf"),
    text("-M --clusters"),
    text("--container"),
    flag("--contiguous", True),
    text("-x --exclude"),
    text("--export"),
    text("--export-file"),
    text("-B --extra-node-info"),
    text("--gid"),
    text("--hint"),
    flag("--ignore-pbs", True),
    text("--network"),
    text("-F --nodefile"),
    text("-w --nodelist"),
    text("--ntasks-per-gpu"),
    flag("-O --overcommit", True),
    flag("--parsable", True),
    text("--power"),
    text("--profile"),
    text("--propagate"),
    flag("-Q --quiet", True),
    flag("--reboot", True),
    text("--switches"),
    flag("--test-only", True),
    text("--tmp"),
    text("--uid"),
    flag("--usage", True),
    flag("-v --verbose", True),
    flag("-V --version", True),
    flag("-W --wait", True),
    text("--wrap"),
)
"""The options of `sbatch` without a parameter in Slurm's REST API."""

UNSET: dict[str, Any] = {**{it.name: None for it in PARAMETERS}, "get_user_environment": 1}
"""All parameters in the order of the wire, with their values in a response when unset."""


class _Strict(Schema):
    class Meta:
        unknown = ma.RAISE

    @ma.post_load
    def normalise_signal(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Remove `B:` from `signal`. It selects the batch shell, and only sbatch understands it."""
        if data.get("signal"):
            data["signal"] = re.sub(r"^(?:BR|RB):", "R:", data["signal"]).removeprefix("B:")
        return data


ParametersSchema = _Strict.from_dict({it.name: it.field for it in PARAMETERS}, name="ExecutionParameters")


class Parameters(fields.Nested):
    """Execution parameters. A request contains some of them, a response all of them."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(ParametersSchema, **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> dict[str, Any] | None:  # type: ignore[override]  # noqa: ANN401, ARG002 - marshmallow's Nested has another name for `value`
        return None if value is None else {**UNSET, **value}
