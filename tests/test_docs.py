"""Links, verbs, modules, paths and tests that the pages name exist."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path

from relforge.cli.app import VERBS

ROOT = Path(__file__).resolve().parents[1]
DECISIONS = ROOT / "docs" / "decisions"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    .+$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
ELSEWHERE = ("models/<name>/*", "images/*.jpg")
"""Paths of users' folders, as patterns, that begin like one of the repository."""


def files(pattern: str) -> list[str]:
    """Files of the repository, generated and ignored ones left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted(file for file in listed if (ROOT / file).is_file())


PAGES = {page: (ROOT / page).read_text(encoding="utf-8") for page in files("*.md")}
CURRENT = {page: text for page, text in PAGES.items() if page != "CHANGELOG.md"}
"""The changelog also names what earlier versions had."""


def code_spans(text: str) -> list[str]:
    """What is in backticks outside code blocks."""
    return CODE.findall(FENCE.sub("", text))


def repository_paths(text: str) -> set[str]:
    """Code spans that begin with a folder of the repository."""
    folders = tuple({f"{file.split('/')[0]}/" for file in files("*/*")})
    spans = {
        span for span in code_spans(text) if re.fullmatch(r"[\w.*/<>-]+", span) and span.startswith(folders)
    }
    return {span for span in spans if not any(fnmatch(span, pattern) for pattern in ELSEWHERE)}


def is_there(path: str) -> bool:
    """Whether it is a path or pattern of the repository, or a name in a module (`stages/x.Name`)."""
    return bool(list(ROOT.glob(path))) or (ROOT / re.sub(r"\.\w+$", ".py", path)).is_file()


def named_verbs(text: str) -> set[str]:
    """Words after `relforge` in code blocks and code spans."""
    code = "\n".join([*FENCE.findall(text), *code_spans(text), *INDENTED.findall(text)])
    return set(re.findall(r"(?:^|[ /(])relforge ([a-z]+(?:-[a-z]+)*)\b", code, re.MULTILINE))


def test_every_relative_link_leads_to_a_file() -> None:
    links = {(page, link) for page, text in PAGES.items() for link in LINK.findall(text)}

    assert {(page, link) for page, link in links if not (ROOT / page).parent.joinpath(link).exists()} == set()
    assert ("README.md", "docs/method.md") in links


def test_every_path_in_backticks_exists() -> None:
    named = {(page, path) for page, text in CURRENT.items() for path in repository_paths(text)}

    assert {(page, path) for page, path in named if not is_there(path)} == set()
    assert ("CONTRIBUTING.md", "stages/account.py") in named


def test_every_script_and_recipe_of_a_command_exists() -> None:
    pattern = re.compile(r"(?<![\w/])(?:benchmarks|configs)/[\w/.-]+\.(?:py|yaml)")
    named = {(page, path) for page, text in CURRENT.items() for path in pattern.findall(text)}

    assert {(page, path) for page, path in named if not (ROOT / path).is_file()} == set()
    assert ("README.md", "configs/train/parseda.yaml") in named


def test_every_test_file_in_backticks_exists() -> None:
    there = {Path(file).name for file in files("tests/*.py")}
    named = {(page, span) for page, text in CURRENT.items() for span in code_spans(text)}

    assert {
        (page, name) for page, name in named if re.fullmatch(r"test_\w+\.py", name) and name not in there
    } == set()


def test_every_verb_exists() -> None:
    named = {(page, verb) for page, text in CURRENT.items() for verb in named_verbs(text)}

    assert {(page, verb) for page, verb in named if verb not in VERBS} == set()
    assert {("README.md", "train"), ("docs/world.md", "eval")} <= named


def test_every_module_that_is_run_exists() -> None:
    named = {
        (page, name)
        for page, text in CURRENT.items()
        for name in re.findall(r"-m (relforge(?:\.\w+)+)", text)
    }

    assert {(page, name) for page, name in named if find_spec(name) is None} == set()
    assert ("README.md", "relforge.trainer.recipes.relations") in named


def test_every_decision_is_listed_under_its_title() -> None:
    listed = re.findall(r"^\* \[(.+)\]\(([\w-]+\.md)\)$", PAGES["docs/decisions/README.md"], re.MULTILINE)
    titles = {
        path.name: path.read_text(encoding="utf-8").splitlines()[0] for path in DECISIONS.glob("*-*.md")
    }

    assert {file: f"# {title}" for title, file in listed} == titles


def test_no_file_holds_a_conflict_of_a_merge() -> None:
    command = ["git", "grep", "--untracked", "-lIE", "^(<{7}|>{7}) "]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert found.stdout == ""
    assert found.returncode == 1, found.stderr


def test_every_topic_of_the_method_that_code_cites_is_a_heading() -> None:
    headings = set(re.findall(r"^#+ (.+)$", PAGES["docs/method.md"], re.MULTILINE))
    cited = set()
    for file in [*files("*.py"), *files("*.cpp"), *files("*.h")]:
        # a citation may continue on the next line of a comment
        text = re.sub(r"\s*\n\s*(?:#|//)?\s*", " ", (ROOT / file).read_text(encoding="utf-8"))
        cited |= {(file, topic) for topic in re.findall(r'docs/method\.md, "([^"]+)"', text)}

    assert {(file, topic) for file, topic in cited if topic not in headings} == set()
    assert ("models/blocks/fusion.py", "Language fusion") in cited
