from pathlib import Path

import msgspec

from kugetsu.agent import Instructions, Skill, load_instructions, load_skills, system_prompt
from kugetsu.agent.instructions import MAX_BYTES
from kugetsu.protocols import ToolSpec


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_prompt_holds_every_section_in_a_fixed_order() -> None:
    text = system_prompt(
        tools=[ToolSpec("read", "Read a file. More words.", msgspec.Raw(b"{}"))],
        facts=["The branch is x."],
        instructions=[Instructions("AGENTS.md", "Use tabs.")],
        skills=[Skill("pdf", "Make PDFs", ".agents/skills/pdf/SKILL.md")],
        extra="Speak French.",
    )
    wanted = [
        "# Tools",
        "- read: Read a file.",
        "# Workspace",
        "The branch is x.",
        "Speak French.",
        "Use tabs.",
        "- pdf:",
    ]
    places = [text.index(part) for part in wanted]
    assert places == sorted(places)
    assert "More words" not in text


def test_an_empty_section_is_left_out() -> None:
    assert "#" not in system_prompt()


def test_instructions_are_read_from_the_root_down(tmp_path: Path) -> None:
    write(tmp_path / "AGENTS.md", "root")
    write(tmp_path / "CLAUDE.md", "not read: AGENTS.md is there")
    write(tmp_path / "a" / "CLAUDE.md", "middle")
    write(tmp_path / "a" / "b" / "AGENTS.md", "leaf")
    found = load_instructions(tmp_path, tmp_path / "a" / "b")
    assert [(item.path, item.text) for item in found] == [
        ("AGENTS.md", "root"),
        ("a/CLAUDE.md", "middle"),
        ("a/b/AGENTS.md", "leaf"),
    ]
    assert [item.path for item in load_instructions(tmp_path)] == ["AGENTS.md"]


def test_a_link_that_leads_out_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    root = tmp_path / "repo"
    root.mkdir()
    (root / "AGENTS.md").symlink_to(secret)
    (root / "CLAUDE.md").symlink_to(root / "CLAUDE.md")
    assert load_instructions(root) == []


def test_strange_and_huge_files_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_bytes(b"\xff\xfe" + b"x" * 10 * MAX_BYTES)
    (found,) = load_instructions(tmp_path)
    assert len(found.text) <= MAX_BYTES


def test_a_directory_of_that_name_is_no_instruction(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").mkdir()
    assert load_instructions(tmp_path) == []


def test_skills_give_name_description_and_path_only(tmp_path: Path) -> None:
    write(tmp_path / ".agents/skills/pdf/SKILL.md", "---\nname: pdf\ndescription: Make\n  PDFs\n---\nlong text")
    write(tmp_path / ".claude/skills/web/SKILL.md", "---\nname: web\ndescription: Make pages\n---\n")
    write(tmp_path / ".agents/skills/nameless/SKILL.md", "---\ndescription: x\n---\n")
    write(tmp_path / ".agents/skills/broken/SKILL.md", "---\nname: [\n---\n")
    write(tmp_path / ".agents/skills/bare/SKILL.md", "no front matter")
    assert load_skills(tmp_path) == [
        Skill("pdf", "Make PDFs", ".agents/skills/pdf/SKILL.md"),
        Skill("web", "Make pages", ".claude/skills/web/SKILL.md"),
    ]
