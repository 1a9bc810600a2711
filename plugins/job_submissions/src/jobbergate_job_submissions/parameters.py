"""The execution parameters of a submission: what a cluster is told of the job, in the names of Slurm's REST API."""

import re
from typing import Any

import marshmallow as ma

from jobbergate_server import Schema, fields

FIELDS: dict[str, ma.fields.Field[Any]] = {
    "account": fields.Text(allow_none=True),
    "account_gather_frequency": fields.Text(allow_none=True),
    "argv": fields.List(fields.Text(), allow_none=True),
    "array": fields.Text(allow_none=True),
    "batch_features": fields.Text(allow_none=True),
    "begin_time": fields.Text(allow_none=True),
    "burst_buffer": fields.Text(allow_none=True),
    "cluster_constraints": fields.Text(allow_none=True),
    "comment": fields.Text(allow_none=True),
    "constraints": fields.Text(allow_none=True),
    "core_specification": fields.Integer(allow_none=True),
    "cores_per_socket": fields.Integer(allow_none=True),
    "cpu_binding": fields.Text(allow_none=True),
    "cpu_binding_hint": fields.Text(allow_none=True),
    "cpu_frequency": fields.Text(allow_none=True),
    "cpus_per_gpu": fields.Text(allow_none=True),
    "cpus_per_task": fields.Integer(allow_none=True),
    "current_working_directory": fields.Text(allow_none=True),
    "deadline": fields.Text(allow_none=True),
    "delay_boot": fields.Integer(allow_none=True),
    "dependency": fields.Text(allow_none=True),
    "distribution": fields.Text(allow_none=True),
    "environment": fields.Object(values=fields.Text(), allow_none=True),
    "exclusive": fields.Literal("user", "mcs", "exclusive", "oversubscribe", allow_none=True),
    "get_user_environment": fields.Integer(ge=0, le=1, allow_none=True),
    "gres": fields.Text(allow_none=True),
    "gres_flags": fields.Literal("disable-binding", "enforce-binding", allow_none=True),
    "gpu_binding": fields.Text(allow_none=True),
    "gpu_frequency": fields.Text(allow_none=True),
    "gpus": fields.Text(allow_none=True),
    "gpus_per_node": fields.Text(allow_none=True),
    "gpus_per_socket": fields.Text(allow_none=True),
    "gpus_per_task": fields.Text(allow_none=True),
    "hold": fields.Boolean(allow_none=True),
    "kill_on_invalid_dependency": fields.Boolean(allow_none=True),
    "licenses": fields.Text(allow_none=True),
    "mail_type": fields.Text(allow_none=True),
    "mail_user": fields.Text(allow_none=True),
    "mcs_label": fields.Text(allow_none=True),
    "memory_binding": fields.Text(allow_none=True),
    "memory_per_cpu": fields.Integer(allow_none=True),
    "memory_per_gpu": fields.Integer(allow_none=True),
    "memory_per_node": fields.Text(allow_none=True),
    "minimum_cpus_per_node": fields.Integer(allow_none=True),
    "minimum_nodes": fields.Boolean(allow_none=True),
    "name": fields.Text(allow_none=True),
    "nice": fields.Text(allow_none=True),
    "no_kill": fields.Boolean(allow_none=True),
    "nodes": fields.Text(allow_none=True),
    "open_mode": fields.Literal("append", "truncate", allow_none=True),
    "partition": fields.Text(allow_none=True),
    "priority": fields.Text(allow_none=True),
    "qos": fields.Text(allow_none=True),
    "requeue": fields.Boolean(allow_none=True),
    "reservation": fields.Text(allow_none=True),
    "signal": fields.Text(allow_none=True),
    "sockets_per_node": fields.Integer(allow_none=True),
    "spread_job": fields.Boolean(allow_none=True),
    "standard_error": fields.Text(allow_none=True),
    "standard_input": fields.Text(allow_none=True),
    "standard_output": fields.Text(allow_none=True),
    "tasks": fields.Integer(allow_none=True),
    "tasks_per_core": fields.Integer(allow_none=True),
    "tasks_per_node": fields.Integer(allow_none=True),
    "tasks_per_socket": fields.Integer(allow_none=True),
    "thread_specification": fields.Integer(allow_none=True),
    "threads_per_core": fields.Integer(allow_none=True),
    "time_limit": fields.Text(allow_none=True),
    "time_minimum": fields.Integer(allow_none=True),
    "wait_all_nodes": fields.Integer(ge=0, le=1, allow_none=True),
    "wckey": fields.Text(allow_none=True),
}

UNSET: dict[str, Any] = {**dict.fromkeys(FIELDS), "get_user_environment": 1}
"""All parameters in the order of the wire, with what an answer shows where nothing was set."""


class _Strict(Schema):
    class Meta:
        unknown = ma.RAISE

    @ma.post_load
    def normalise_signal(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Leave out of `signal` what means something to sbatch alone: that the batch shell gets it (`B:`)."""
        if data.get("signal"):
            data["signal"] = re.sub(r"^(?:BR|RB):", "R:", data["signal"]).removeprefix("B:")
        return data


ParametersSchema = _Strict.from_dict(FIELDS, name="ExecutionParameters")


class Parameters(fields.Nested):
    """Execution parameters: a client sends those that it sets, and is shown all of them."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - marshmallow's options
        super().__init__(ParametersSchema, **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> dict[str, Any] | None:  # type: ignore[override]  # noqa: ANN401, ARG002 - marshmallow's Nested has another name for `value`
        return None if value is None else {**UNSET, **value}
