"""Print the measurements of docs/architecture.md: `python docs/house.py`."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lora2_search"


def parsed() -> dict[str, tuple[Path, ast.Module]]:
    """Return each module by its dotted name below the package; packages by their folder."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path, ast.parse(path.read_text("utf-8"))
    return found


def imports(name: str, path: Path, tree: ast.Module) -> set[tuple[str, str]]:
    """Return (module, name) of everything of ours that a module imports, typing included."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {(module, alias.name) for alias in node.names}
    return found


def circles(arrows: dict[str, set[str]]) -> int:
    """Return how many pairs of rooms reach each other."""

    def reach(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            for room in arrows.get(todo.pop(), set()) - seen:
                seen.add(room)
                todo.append(room)
        return seen

    reached = {room: reach(room) for room in arrows}
    return sum(a < b and a in reached[b] and b in reached[a] for a in reached for b in reached)


def documented(modules: dict[str, tuple[Path, ast.Module]]) -> tuple[int, int]:
    """Return how many public modules, classes and functions have a docstring, and how many not."""
    having = Counter[bool]()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for _, tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef)):
                inner = [item for item in node.body if isinstance(item, kinds)]
                public = [item for item in inner if not item.name.startswith("_")]
                having.update(ast.get_docstring(item) is not None for item in public)
    return having[True], having.total()


def help_seconds() -> float:
    """Return the median time of `--help` over nine processes."""
    times = []
    for _ in range(9):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lora2_search", "--help"], capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    modules = parsed()
    files = {name: path for name, (path, _) in modules.items() if path.name != "__init__.py"}
    lines = sum(len(path.read_text("utf-8").splitlines()) for path, _ in modules.values())
    folders = Counter(path.parent for path in files.values())
    arrows: dict[str, set[str]] = defaultdict(set)
    inner = 0
    for name, (path, tree) in modules.items():
        room = name.partition(".")[0]
        for module, imported in imports(name, path, tree):
            other = (module or imported).partition(".")[0]
            if f"{module}.{imported}".strip(".") not in modules and not module:
                other = "lora2_search"
            if other != room:
                arrows[room].add(other)
                arrows.setdefault(other, set())
                face = modules[module][0].name == "__init__.py" if module in modules else False
                inner += not face and "." in module
    text = [path.read_text("utf-8") for path, _ in modules.values()]
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", ""],
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout
    having, public = documented(modules)
    rows = {
        "modules; mean lines": f"{len(files)}; {lines / len(files):.0f}",
        "largest folder": str(max(folders.values())),
        "top-level rooms and files; arrows between them; cycles": (
            f"{len(arrows)}; {sum(map(len, arrows.values()))}; {circles(arrows)}"
        ),
        "imports past a face": str(inner),
        "`dict[str, Any]`, lines": str(
            sum("dict[str, Any]" in line for part in text for line in part.splitlines())
        ),
        "`--help`": f"{help_seconds():.2f} s",
        "lines; docstrings": f"{lines}; {having} of {public}",
        "tests": str(sum(int(n) for n in re.findall(r"\.py: (\d+)$", tests, re.M))),
    }
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
