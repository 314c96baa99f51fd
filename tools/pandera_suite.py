"""Run pandera's own tests of its built-in checks against our backend, and report the pass rate.

    python -m tools.pandera_suite PATH       # of pandera's source distribution (tar.gz) or of a checkout

None of pandera's code is kept. Its frames become relations of DuckDB on the way into `schema.validate`.
"""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

TESTS = "tests/common/test_builtin_checks.py"
RESULT = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) (\S.*)$", re.MULTILINE)


def main() -> int:
    """Exit code 1 when a test fails that is not in `EXPECTED`, or when nothing ran."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        root = _unpacked(Path(sys.argv[1]), Path(folder))
        text = _run(root)
    results = RESULT.findall(text)
    counts = Counter(status for status, _ in results)
    passed, failed = counts["PASSED"], counts["FAILED"] + counts["ERROR"]
    if not passed:
        print(text[-4000:])
        return 1
    print(
        f"{passed} of {passed + failed} of pandera's tests of built-in checks pass ({100 * passed / (passed + failed):.1f} %)"
    )
    reasons = Counter(_reason(name) for status, name in results if status in ("FAILED", "ERROR"))
    for reason, count in reasons.most_common():
        print(f"  {count:4}  {reason}")
    return int(any(reason.startswith("unexpected") for reason in reasons))


EXPECTED: dict[str, str] = {}
"""What cannot pass, by a pattern of the test's name, and why."""


def _reason(name: str) -> str:
    return next((why for pattern, why in EXPECTED.items() if re.search(pattern, name)), f"unexpected: {name}")


def _unpacked(path: Path, folder: Path) -> Path:
    if path.is_dir():
        return path
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


def _run(root: Path) -> str:
    here = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-m", "pytest", TESTS, "-q", "-rA", "--tb=line", "-p", "tools.pandera_plugin"]
    command += ["-p", "no:randomly", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(root)]
    # The checkout's own `pandera` folder must not come before the installed one.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tests").symlink_to(root / "tests")
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{folder}:{here}"},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.stdout + done.stderr


if __name__ == "__main__":
    raise SystemExit(main())
