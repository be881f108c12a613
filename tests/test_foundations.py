import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def run(directory: Path, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command that knows nothing of the make or git that may have started this test."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "GIT_"))}
    return subprocess.run(
        argv, cwd=directory, env=env | variables, capture_output=True, text=True, timeout=50, check=False
    )


def pins() -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS, re.MULTILINE))


def test_every_pin_is_exact_and_hashed_and_nothing_else_stands_in_the_constraints() -> None:
    body = "".join(line for line in CONSTRAINTS.splitlines(keepends=True) if not line.startswith("#"))
    entries = re.split(r"\n(?! )", body.rstrip("\n"))
    assert len(entries) == len(pins())
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( \\\n    --hash=sha256:[0-9a-f]{64})+", entry), entry


def test_the_constraints_name_no_address_no_host_and_no_path() -> None:
    assert not re.search(r"/|://|@|--index|--find-links|--extra|--trusted|\.(org|com|io|net)\b", CONSTRAINTS)


def test_the_constraints_cover_what_running_building_and_checking_need() -> None:
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
    pinned = pins()
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not pinned: run make lock"
        assert requirement.specifier.contains(pinned[name]), f"{name} {pinned[name]} does not fit: run make lock"


def test_no_file_in_the_git_index_names_this_checkout() -> None:
    if len(ROOT.parts) < 3:
        pytest.skip("so near to the root, the path of the checkout is an ordinary word")
    found = run(ROOT, "git", "grep", "--cached", "-I", "--fixed-strings", "-e", str(ROOT))
    if found.returncode > 1:
        pytest.skip(f"no checkout, or none that git trusts: {found.stderr.strip()}")
    path = re.compile(rf"(?<![\w./-]){re.escape(str(ROOT))}(?![\w.-])")
    assert [line for line in found.stdout.splitlines() if path.search(line)] == []


def test_no_source_file_is_long() -> None:
    files = [path for folder in ("src", "tests", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert {str(path): n for path in files if (n := len(path.read_text().splitlines())) > 450} == {}


def test_make_alone_prints_every_target_with_a_line() -> None:
    printed = run(ROOT, "make", "--no-print-directory")
    assert printed.returncode == 0, printed.stderr
    listed = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", printed.stdout, re.MULTILINE))
    targets = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert targets
    assert listed.keys() == set(targets[1].split()) - {"FORCE"}
    assert {"setup", "demo", "test", "check", "fix", "bench", "lock", "clean"} <= listed.keys()


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    built = run(ROOT, sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith(("kugetsu/", "kugetsu_hermes/"))}
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert packed == {name for name in files if "__pycache__" not in name}
    assert "kugetsu/py.typed" in packed
    assert "kugetsu/app/sample/project/.gitignore.txt" in packed
