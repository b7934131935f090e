"""Stages on the screen: coloured on a terminal, the bare text in a pipe."""

from __future__ import annotations

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

LEXERS = {"llvm": "llvm", "asm": "gas", "numba": "python"}


class _Ir(RegexHighlighter):
    """Graphs, loops and programs: values, types, operations, source lines."""

    base_style = "ir."
    highlights = (
        r"(?P<value>%\w+)",
        r"(?P<type>\b(?:bool|bf16|[fiu]\d+)(?:\[[\d,]*\])?)",
        r"= (?P<op>[a-z_]\w*)",
        r"^\s*(?P<word>func|return|program|kernel|for|store|barrier|parallel)\b",
        r"(?P<comment>#.*)$",
    )


THEME = Theme(
    {
        "ir.value": "cyan",
        "ir.type": "green",
        "ir.op": "bold",
        "ir.word": "magenta",
        "ir.comment": "dim italic",
    }
)


def show(title: str, stage: str, text: str) -> None:
    """Prints one stage below a line that says what it is (a comment, where that is possible)."""
    console = Console(theme=THEME, highlight=False)
    if not console.is_terminal:
        mark = ";" if stage == "llvm" else "#"
        print(f"{mark} {title}: {stage}\n{text.rstrip()}\n", flush=True)
        return
    console.print(Rule(f"{title}: [bold]{stage}[/bold]", align="left"))
    console.print(_coloured(stage, text.rstrip()), soft_wrap=True)
    console.print()


def _coloured(stage: str, text: str) -> Text:
    lexer = LEXERS.get(stage)
    if lexer is not None:
        return Syntax(text, lexer, background_color="default").highlight(text)
    # Line by line: the highlighter's ^ and $ are those of a text.
    ir = _Ir()
    return Text("\n").join(ir(Text(line)) for line in text.splitlines())
