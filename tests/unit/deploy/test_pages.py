"""What the pages name is there: links, files, commands of ``weir``, targets of make, environment variables."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import typer

from deploy.cli.main import app
from schemas.reference.settings_page import OTHER_VARIABLES
from schemas.settings import Settings

ROOT = Path(__file__).parents[3]
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
ANCHOR = re.compile(r"\]\(([^)#\s]*)#([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
FILE = re.compile(r"[\w./-]*\w\.(?:py|md|sql|avsc|yaml|toml)")
COMMAND = re.compile(r"(?:`|^|bin/|[$|] )weir((?:\s[a-z][\w-]*)+)", re.MULTILINE)
TARGET = re.compile(r"(?:^|`)\s*make ([a-z][\w-]*)", re.MULTILINE)
VARIABLE = re.compile(r"WEIR_[A-Z][A-Z0-9_]*\b(?!\*|_)")


def pages() -> Iterator[tuple[Path, str]]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split():
        if not name.startswith("findings/"):
            yield Path(name), (ROOT / name).read_text("utf8")


def present_pages() -> list[tuple[Path, str]]:
    """All but the changelog, which tells of files and names that were."""
    return [(path, text) for path, text in pages() if path.name != "CHANGELOG.md"]


def sources() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def test_every_relative_link_leads_somewhere() -> None:
    lost = [
        f"{path}: {link}"
        for path, text in pages()
        for link, _ in LINK.findall(text)
        if "://" not in link and not link.startswith("mailto:") and not (ROOT / path.parent / link).exists()
    ]
    assert lost == []


def test_every_anchor_is_a_heading() -> None:
    lost = []
    for path, text in pages():
        for link, anchor in ANCHOR.findall(text):
            if "://" in link:
                continue
            target = ROOT / path.parent / link if link else ROOT / path
            if target.suffix == ".md" and anchor not in anchors(target.read_text("utf8")):
                lost.append(f"{path}: {link}#{anchor}")
    assert lost == []


def anchors(text: str) -> set[str]:
    """Headings as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(
        re.findall(r'<a (?:id|name)="([^"]+)"', text)
    )


def test_every_file_in_code_style_is_there() -> None:
    names = sources()
    tails = {"/".join(name.split("/")[start:]) for name in names for start in range(name.count("/") + 1)}
    lost = []
    for path, text in present_pages():
        for code in CODE.findall(text):
            if FILE.fullmatch(code) and code not in tails and not (ROOT / path.parent / code).exists():
                lost.append(f"{path}: {code}")
    assert lost == []


def test_a_path_with_a_folder_is_one_of_its_page_s_package_or_of_the_whole() -> None:
    lost = [
        f"{path}: {code}"
        for path, text in present_pages()
        if path.parts[0] != "tests"
        for code in CODE.findall(text)
        if "/" in code and FILE.fullmatch(code)
        if not (ROOT / path.parent / code).exists() and not (ROOT / code).exists()
    ]
    assert lost == []


def test_every_command_of_weir_is_there() -> None:
    root = typer.main.get_command(app)
    lost = []
    for path, text in present_pages():
        for words in COMMAND.findall(text):
            commands = getattr(root, "commands", {})
            for word in words.split():
                if commands and word not in commands:
                    lost.append(f"{path}: weir{words}")
                commands = getattr(commands.get(word), "commands", {})
    assert lost == []


def test_every_target_of_make_is_there() -> None:
    rules = re.findall(r"^([a-z][\w -]*):", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE)
    targets = {name for rule in rules for name in rule.split()}
    named = [(path, name) for path, text in present_pages() for name in TARGET.findall(text)]
    assert [f"{path}: {name}" for path, name in named if name not in targets] == []


def test_every_environment_variable_is_read_somewhere() -> None:
    code = "\n".join(
        (ROOT / name).read_text("utf8", "replace")
        for name in sources()
        if (name.endswith((".py", ".sh", ".yaml")) or name == "Makefile") and not name.startswith("tests/unit/")
    )
    known = set(VARIABLE.findall(code)) | {f"WEIR_{field.upper()}" for field in Settings.model_fields}
    lost = {f"{path}: {name}" for path, text in present_pages() for name in VARIABLE.findall(text) if name not in known}
    assert lost == set()


def test_every_environment_variable_is_on_the_page_of_settings() -> None:
    known = {f"WEIR_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES.keys()
    compose = Path("deploy/compose.yaml")
    texts = [*present_pages(), (compose, (ROOT / compose).read_text("utf8"))]
    named = {(path, name) for path, text in texts for name in VARIABLE.findall(text)}
    begun = {name for _, name in named if name.endswith("_") and any(variable.startswith(name) for variable in known)}
    lost = {(path, name) for path, name in named if name not in known | begun and not name.startswith("WEIR_TEST_")}
    assert lost == set()
    assert all(field.description for field in Settings.model_fields.values())
