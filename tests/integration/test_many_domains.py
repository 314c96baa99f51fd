"""A mesh of many domains is read by several processes: what comes out must not show it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ = """
import os, sys, time
sys.path.insert(0, "bench")
from pathlib import Path
from check_1000 import write
from mesh_assets.mesh import examine
from mesh_assets.reading import folders

root, case = Path(sys.argv[1]), sys.argv[2]
helped = root / "helped"
folders.MANY, folders.SHARE = 10, 2
write(root, 16)
(root / "domains/domain_0002/domain.yaml").write_text("domain: domain_0002\\nautomaton: eager\\n")
(root / "domains/domain_0007/sql/result.sql").write_text("selec 1")
(root / "domains/domain_0012/contracts/result.odcs.yaml").write_text("a: [")
for number, value in ((6, "{a: [1, 2]}"), (13, "[1, x]")):  # values of no plain type
    path = root / f"domains/domain_{number:04}/contracts/result.odcs.yaml"
    path.write_text(path.read_text().replace("value: 2,", f"value: {value},"))

folders._processors = lambda: 1
alone = examine(root)

parent, own = os.getpid(), folders.read_folder
by = {"ours": 0, "theirs": 0}
def counted(root, name):
    if os.getpid() != parent and case == "dies":
        os._exit(9)
    if os.getpid() != parent and case == "fails there":
        raise LookupError("a mistake of theirs")
    if os.getpid() != parent:
        helped.touch()
    while case == "helped" and name != "domain_0000" and not helped.exists():
        time.sleep(0.01)
    if case == "fails" and name == "domain_0015":
        raise LookupError("a mistake of ours")
    by["ours"] += 1
    return own(root, name)
folders.read_folder = counted
folders._processors = lambda: 3
try:
    together = examine(root)
except LookupError as error:
    print(error)
else:
    assert together == alone and list(together[0].tables) == list(alone[0].tables)
    assert {name: repr(one) for name, one in together[0].tables.items()} == {
        name: repr(one) for name, one in alone[0].tables.items()
    }
    print(len(together[1]), "problems,", "all by us" if by["ours"] == 16 else "shared")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how many threads there are")
@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("helped", "7 problems, shared"),
        ("dies", "7 problems, all by us"),
        ("fails there", "7 problems, all by us"),
        ("fails", "a mistake of ours"),
    ],
)
def test_who_reads_a_folder_changes_nothing(tmp_path, case, says):
    run = subprocess.run(
        [sys.executable, "-W", "error:This process:DeprecationWarning", "-c", READ, str(tmp_path), case],
        check=False, capture_output=True, text=True, cwd=ROOT, timeout=300,
    )  # fmt: skip
    assert run.stderr == ""
    assert run.stdout.strip() == says
