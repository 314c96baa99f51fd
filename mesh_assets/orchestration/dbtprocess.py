"""A process that has imported dbt, and forks for every call of it: the import alone takes longer than most builds.

It is run as a script, for `import dbt` must find dbt itself and not the module beside this one. Each line of its input is a call as JSON
(`words`, `environment`, `folder`, `output`), each line of its output the exit code of one. What dbt printed is in the file `output`, and
after a form feed what it raised. It ends with its input, or when nothing was asked for `IDLE` seconds.
"""

import json
import os
import select
import sys

IDLE = 120.0


def serve() -> None:
    """Answer calls one after the other."""
    from dbt.adapters import duckdb  # noqa: F401 - so that a fork has it
    from dbt.cli.main import dbtRunner

    while select.select([sys.stdin], [], [], IDLE)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        call = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_call(dbtRunner, **call))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _call(runner: type, *, words: list[str], environment: dict[str, str], folder: str, output: str) -> int:
    """What `dbt WORDS` would end with. This is the fork, which nobody uses again."""
    try:
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for old, new in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(old, new)
        done = runner().invoke(words)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the fork ends here
        sys.stderr.write(f"{error}\n")
        return 2
    else:
        sys.stderr.write(f"\f{done.exception or ''}\n")
        return 0 if done.success else 2 if done.exception else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    try:
        serve()
    except KeyboardInterrupt:
        sys.exit(130)
