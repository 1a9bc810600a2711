"""What the wire promises of resources, as their tests expect it."""

APPLICATION_KEYS = [
    "id",
    "created_at",
    "updated_at",
    "application_name",
    "application_identifier",
    "application_description",
    "application_owner_email",
    "application_uploaded",
    "is_archived",
]
JOB_SCRIPT_KEYS = [
    "id",
    "created_at",
    "updated_at",
    "job_script_name",
    "job_script_description",
    "job_script_files",
    "job_script_owner_email",
    "application_name",
    "application_id",
    "is_archived",
]
NULL = ("none is not an allowed value", "type_error.none.not_allowed")
NOT_STORABLE = ("text must not contain NUL characters or lone surrogates", "value_error")
IMPOSSIBLE_IDS = [0, -1, 2**31 - 1, 2**31, -(2**31) - 1, 2**63, 10**30]


def wrong(name: str, msg: str, kind: str, **ctx: object) -> tuple[int, dict[str, object]]:
    """The answer to a body with one error."""
    entry = {"loc": ["body", name], "msg": msg, "type": kind, **({"ctx": ctx} if ctx else {})}
    return 422, {"detail": [entry]}


def too_long(name: str, limit: int) -> tuple[int, dict[str, object]]:
    """The answer to a body with an over-long text."""
    msg = f"ensure this value has at most {limit} characters"
    return wrong(name, msg, "value_error.any_str.max_length", limit_value=limit)
