"""`#SBATCH` lines: every option of the table, every spelling of sbatch, and what is refused with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from jobbergate_job_submissions.sbatch import MAX_CHARACTERS, MAX_LINES, SbatchError, parse

if TYPE_CHECKING:
    from conftest import Call
    from jobbergate_devkit.testing import Client

# Option, short option, parameter (! when there is none), and what may stand for its value.
TABLE = """
--account -A account text
--acctg-freq - account_gather_frequency text
--array -a array text
--batch - batch_features text
--bb - burst_buffer text
--bbf - ! text
--begin -b begin_time text
--chdir -D current_working_directory text
--cluster-constraint - cluster_constraints text
--clusters -M ! text
--comment - comment text
--constraint -C constraints text
--container - ! text
--contiguous - ! flag:true
--core-spec -S core_specification number
--cores-per-socket - cores_per_socket number
--cpu-bind - cpu_binding text
--cpu-freq - cpu_frequency text
--cpus-per-gpu - cpus_per_gpu text
--cpus-per-task -c cpus_per_task number
--deadline - deadline text
--delay-boot - delay_boot number
--dependency -d dependency text
--distribution -m distribution text
--error -e standard_error text
--exclude -x ! text
--exclusive - exclusive optional:exclusive
--export - ! text
--export-file - ! text
--extra-node-info -B ! text
--get-user-env - get_user_environment bit
--gid - ! text
--gpu-bind - gpu_binding text
--gpu-freq - gpu_frequency text
--gpus -G gpus text
--gpus-per-node - gpus_per_node text
--gpus-per-socket - gpus_per_socket text
--gpus-per-task - gpus_per_task text
--gres - gres text
--gres-flags - gres_flags word:disable-binding,enforce-binding
--hint - ! text
--hold -H hold flag:true
--ignore-pbs - ! flag:true
--input -i standard_input text
--job-name -J name text
--kill-on-invalid-dep - kill_on_invalid_dependency optional:true
--licenses -L licenses text
--mail-type - mail_type text
--mail-user - mail_user text
--mcs-label - mcs_label text
--mem - memory_per_node text
--mem-bind - memory_binding text
--mem-per-cpu - memory_per_cpu digits
--mem-per-gpu - memory_per_gpu digits
--mincpus - minimum_cpus_per_node number
--network - ! text
--nice - nice text
--no-kill -k no_kill flag:true
--no-requeue - requeue flag:false
--nodefile -F ! text
--nodelist -w ! text
--nodes -N nodes text
--ntasks -n tasks number
--ntasks-per-core - tasks_per_core number
--ntasks-per-gpu - ! text
--ntasks-per-node - tasks_per_node number
--ntasks-per-socket - tasks_per_socket number
--open-mode - open_mode word:append,truncate
--output -o standard_output text
--overcommit -O ! flag:true
--oversubscribe -s exclusive flag:oversubscribe
--parsable - ! flag:true
--partition -p partition text
--power - ! text
--priority - priority text
--profile - ! text
--propagate - ! text
--qos -q qos text
--quiet -Q ! flag:true
--reboot - ! flag:true
--requeue - requeue flag:true
--reservation - reservation text
--signal - signal text
--sockets-per-node - sockets_per_node number
--spread-job - spread_job flag:true
--switches - ! text
--test-only - ! flag:true
--thread-spec - thread_specification number
--threads-per-core - threads_per_core number
--time -t time_limit text
--time-min - time_minimum digits
--tmp - ! text
--uid - ! text
--usage - ! flag:true
--use-min-nodes - minimum_nodes flag:true
--verbose -v ! flag:true
--version -V ! flag:true
--wait -W ! flag:true
--wait-all-nodes - wait_all_nodes bit
--wckey - wckey text
--wrap - ! text
"""


class Row(NamedTuple):
    """A line of the table."""

    option: str
    short: str
    parameter: str
    kind: str


ROWS = [Row(*line.split()) for line in TABLE.strip().splitlines()]
KNOWN = [row for row in ROWS if row.parameter != "!"]
REFUSED = [row for row in ROWS if row.parameter == "!"]
WORDS = {"true": True, "false": False}
BAD = {
    "number": ("abc", "1.5", "4G", "", "2147483648", "00:10:00"),
    "bit": ("2", "-1", "abc"),
    "digits": ("abc", "4G", "00:10:00", "1.5", ""),
    "optional:exclusive": ("none", ""),
    "word:append,truncate": ("prepend", ""),
    "word:disable-binding,enforce-binding": ("no", ""),
}
GOOD: dict[str, dict[str, Any]] = {
    "text": {"7": "7", "abc": "abc", "4G": "4G", "-5": "-5", "%j.out": "%j.out", "Übung": "Übung"},
    "number": {"7": 7, "0": 0, "-5": -5, "+3": 3, "2147483647": 2147483647},
    "bit": {"0": 0, "1": 1},
    "digits": {"7": 7, "0": 0, "-5": -5},
    "word:append,truncate": {"append": "append", "truncate": "truncate"},
    "word:disable-binding,enforce-binding": {"enforce-binding": "enforce-binding"},
    "optional:exclusive": {word: word for word in ("user", "mcs", "exclusive", "oversubscribe")},
    "optional:true": {"no": True, "yes": True, "0": True},
}


def refused(script: str) -> str:
    with pytest.raises(SbatchError) as error:
        parse(script)
    return str(error.value)


def test_the_table_is_complete() -> None:
    assert len(ROWS) == 101
    assert len({row.option for row in ROWS}) == 101


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.option)
def test_every_spelling_of_an_option_sets_its_parameter(row: Row) -> None:
    stand_for = WORDS.get(row.kind.partition(":")[2], row.kind.partition(":")[2])
    for value, expected in GOOD.get(row.kind, {}).items():
        spellings = [f"{row.option}={value}", f"{row.option} {value}"]
        if row.short != "-":
            spellings += [f"{row.short} {value}", f"{row.short}{value}", f"{row.short}={value}"]
        for spelling in spellings:
            assert parse(f"#SBATCH {spelling}") == {row.parameter: expected}, spelling
    if row.kind.startswith(("flag:", "optional:")):
        for spelling in (row.option, row.short):
            if spelling != "-":
                assert parse(f"#SBATCH {spelling}\n") == {row.parameter: stand_for}


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row.option)
def test_what_an_option_does_not_take_is_told_with_line_and_option(row: Row) -> None:
    names = row.option if row.short == "-" else f"{row.short}/{row.option}"
    for value in BAD.get(row.kind, ()):
        told = refused(f"#!/bin/bash\n#SBATCH --comment=x\n#SBATCH {row.option}={value}\n#SBATCH --qos=y\n")
        assert told.startswith(f"line 3: argument {names}: ")
    if row.kind.startswith("flag:"):
        told = refused(f"\n#SBATCH {row.option}=7")
        assert told == f"line 2: argument {names}: ignored explicit argument '7'"
        assert refused(f"#SBATCH {row.option} 7") == "line 1: Unrecognized SBATCH arguments: 7"
    elif not row.kind.startswith("optional:"):
        for spelling in (row.option, row.short):
            if spelling != "-":
                told = refused(f"#SBATCH --comment=x {spelling}")
                assert told == f"line 1: argument {names}: expected one argument"


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.option)
def test_an_option_without_a_parameter_is_refused_by_its_name(row: Row) -> None:
    value = "" if row.kind.startswith("flag:") else " x"
    for spelling in (row.option, row.short):
        if spelling != "-":
            told = refused(f"#!/bin/bash\n\n#SBATCH {spelling}{value}\n")
            assert told == f"line 3: Impossible to convert from SBATCH to Slurm REST API: {row.option}"


@pytest.mark.parametrize(
    ("script", "parameters"),
    {
        "": {},
        "#!/bin/bash\necho": {},
        "#SBATCH": {},
        "#SBATCH   ": {},
        "#SBATCH # -n 1": {},
        "#SBATCH -n 1 # -c 2": {"tasks": 1},
        "#SBATCH -n 1#-c 2": {"tasks": 1},
        "#SBATCH -J 'a # b' -c 2": {"name": "a # b", "cpus_per_task": 2},
        '#SBATCH --comment="say \\"#\\"" # x': {"comment": 'say "#"'},
        "#SBATCH -J a\\#b": {"name": "a#b"},
        "#SBATCH\t-n\t3\t": {"tasks": 3},
        "#SBATCH -n 4\r\n#SBATCH -c 2\r\n": {"tasks": 4, "cpus_per_task": 2},
        " #SBATCH -n 1": {},
        "\t#SBATCH -n 1": {},
        "#sbatch -n 1": {},
        "# SBATCH -n 1": {},
        "##SBATCH -n 1": {},
        "#SBATCHER -n 1": {},
        "#SBATCH-n 1": {},
        "#SBATCH--ntasks=1": {},
        "echo #SBATCH -n 1": {},
        "#!/bin/sh\nexit\n\n#SBATCH -n 6": {"tasks": 6},
        "#SBATCH -n 1\n#SBATCH -n 2\n#SBATCH --ntasks=3": {"tasks": 3},
        "#SBATCH -n 1 -c 2 -p a -J b": {"tasks": 1, "cpus_per_task": 2, "partition": "a", "name": "b"},
        "#SBATCH -Hk": {"hold": True, "no_kill": True},
        "#SBATCH -Hkn5": {"hold": True, "no_kill": True, "tasks": 5},
        "#SBATCH --part=x": {"partition": "x"},
        "#SBATCH --ntasks-per-n=2": {"tasks_per_node": 2},
        "#SBATCH --ntasks=2": {"tasks": 2},
        "#SBATCH --time=1-00:00:00": {"time_limit": "1-00:00:00"},
        "#SBATCH --job-name='a b'": {"name": "a b"},
        "#SBATCH --job-name=": {"name": ""},
        "#SBATCH --job-name ''": {"name": ""},
        "#SBATCH --comment='-x y'": {"comment": "-x y"},
        "#SBATCH --comment=--nodes": {"comment": "--nodes"},
        "#SBATCH --nice=-100": {"nice": "-100"},
        "#SBATCH --nice -100": {"nice": "-100"},
        "#SBATCH --exclusive": {"exclusive": "exclusive"},
        "#SBATCH --exclusive=user\n#SBATCH -s": {"exclusive": "oversubscribe"},
        "#SBATCH -s --exclusive mcs": {"exclusive": "mcs"},
        "#SBATCH --requeue --no-requeue": {"requeue": False},
        "#SBATCH --no-requeue\n#SBATCH --requeue": {"requeue": True},
        "#SBATCH --kill-on-invalid-dep=": {"kill_on_invalid_dependency": False},
        "#SBATCH --signal=B:USR1@60": {"signal": "USR1@60"},
        "#SBATCH --signal=BR:USR1": {"signal": "R:USR1"},
        "#SBATCH --signal=RB:USR1": {"signal": "R:USR1"},
        "#SBATCH --signal=R:USR1": {"signal": "R:USR1"},
    }.items(),
)
def test_lines_are_read_as_sbatch_reads_them(script: str, parameters: dict[str, Any]) -> None:
    assert parse(script) == parameters


@pytest.mark.parametrize(
    ("script", "reason"),
    {
        "#SBATCH --no-such": "line 1: Unrecognized SBATCH arguments: --no-such",
        "#SBATCH -Z": "line 1: Unrecognized SBATCH arguments: -Z",
        "#SBATCH --no-such=x -n 1": "line 1: Unrecognized SBATCH arguments: --no-such=x",
        "x\n\n#SBATCH a word": "line 3: Unrecognized SBATCH arguments: a word",
        "#SBATCH -n 2 3": "line 1: Unrecognized SBATCH arguments: 3",
        "#SBATCH -n 2 -- 3": "line 1: Unrecognized SBATCH arguments: -- 3",
        "#SBATCH --": "line 1: Unrecognized SBATCH arguments: --",
        "#SBATCH -": "line 1: Unrecognized SBATCH arguments: -",
        "#SBATCH --help": "line 1: Unrecognized SBATCH arguments: --help",
        "#SBATCH -h": "line 1: Unrecognized SBATCH arguments: -h",
        "#SBATCH ''": "line 1: Unrecognized SBATCH arguments: ",
        "#SBATCH -n": "line 1: argument -n/--ntasks: expected one argument",
        "#SBATCH -n --cpus-per-task=2": "line 1: argument -n/--ntasks: expected one argument",
        "#SBATCH -n abc": "line 1: argument -n/--ntasks: invalid int value: 'abc'",
        "#SBATCH -n ''": "line 1: argument -n/--ntasks: invalid int value: ''",
        "#SBATCH -n 9999999999": "line 1: argument -n/--ntasks: ensure this value is less than or equal to 2147483647",
        "#SBATCH --mem-per-cpu=4G": "line 1: argument --mem-per-cpu: value is not a valid integer",
        "#SBATCH -J 'a": "line 1: No closing quotation",
        '#SBATCH -n 1\n#SBATCH -J "a\n': "line 2: No closing quotation",
        "#SBATCH -J a\\": "line 1: No escaped character",
        "#SBATCH --export=ALL": "line 1: Impossible to convert from SBATCH to Slurm REST API: --export",
        "#SBATCH -n 1\n#SBATCH --exp-none": "line 2: Unrecognized SBATCH arguments: --exp-none",
        "#SBATCH -J a\0b": "line 1: argument -J/--job-name: text must not contain NUL characters or lone surrogates",
        "#SBATCH -n 1\n#SBATCH -n x\n#SBATCH -n 2": "line 2: argument -n/--ntasks: invalid int value: 'x'",
        "#SBATCH --open-mode=x\n#SBATCH --open-mode=y": (
            "line 2: argument --open-mode: unexpected value; permitted: 'append', 'truncate'"
        ),
    }.items(),
)
def test_what_cannot_be_used_is_told_with_its_line(script: str, reason: str) -> None:
    assert refused(script) == reason


@pytest.mark.parametrize("option", ["--n=1", "--mem-=1", "--gpus-per=1", "--no"])
def test_a_prefix_of_many_options_is_ambiguous(option: str) -> None:
    assert refused(f"\n\n#SBATCH {option}").startswith(f"line 3: ambiguous option: {option} could match --")


def test_as_many_lines_are_read_as_are_allowed() -> None:
    assert parse("#SBATCH -n 1\n" * MAX_LINES) == {"tasks": 1}
    expected = f"at most {MAX_LINES} #SBATCH lines with {MAX_CHARACTERS} characters are allowed"
    assert refused("\n" + "#SBATCH -n 1\n" * (MAX_LINES + 1)) == f"line {MAX_LINES + 2}: {expected}"
    start = "#SBATCH -J "
    name = "x" * (MAX_CHARACTERS - len(start))
    assert parse(start + name) == {"name": name}
    assert refused(start + name + "x") == f"line 1: {expected}"


def test_a_long_script_is_read_for_its_lines_alone() -> None:
    assert parse("echo '#SBATCH -n 1'\n" * 100_000 + "#SBATCH -n 2\n") == {"tasks": 2}


async def test_every_option_arrives_at_a_submission(call: Call, api: Client) -> None:
    lines, expected = [], {}
    for row in KNOWN:
        values = GOOD.get(row.kind)
        if values:
            value, expected[row.parameter] = next(iter(values.items()))
            lines.append(f"#SBATCH {row.option}={value}\n")
    _, script = await call("POST", "/jobbergate/job-scripts", json={"job_script_name": "js"})
    files = {"main_file_path": "m", "files": {"m": "#!/bin/bash\n" + "".join(lines)}}
    assert (await call("PUT", f"/jobbergate/job-scripts/{script['id']}", json={"job_script_files": files}))[0] == 200
    sent = {"job_submission_name": "s", "job_script_id": script["id"]}
    status, made = await call("POST", "/jobbergate/job-submissions", json=sent)
    assert status == 201
    shown = made["execution_parameters"]
    assert {name: value for name, value in shown.items() if name in expected} == expected
    async with api.get("/jobbergate/job-submissions/agent/pending") as response:
        (pending,) = await response.json()
    assert pending["execution_parameters"] == expected
    assert list(pending["execution_parameters"]) == [name for name in shown if name in expected]
