"""What people write in Markdown, as HTML that is safe and whose links lead somewhere."""

from collections.abc import Sequence
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

Tokens = Sequence[Token]
OUTSIDE = ("https://", "http://", "mailto:")
DEEPER = 2
"""Headings of the text come below the page's own."""


def prose(text: str) -> Markup:
    """Markdown (CommonMark with tables) as HTML. HTML in it is text, and so are pictures and links within a repository."""
    parser = _parser()
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + DEEPER)}"
        elif token.type in ("th_open", "td_open"):
            token.attrs.pop("style", None)  # how its column is aligned: pages have no styles of their own
        elif token.type == "inline":
            token.children = _linked(token.children or [])
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - what it renders is escaped


class _Renderer(RendererHTML):
    """Tables and code that are wider than the page can be scrolled, by keyboard too."""

    def table_open(self, _tokens: Tokens, _idx: int, _options: OptionsDict, env: EnvType) -> str:
        return f"{_region('Table', env)}<table>"

    def table_close(self, *_: object) -> str:
        return "</table></div>\n"

    def fence(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"{_region('Code', env)}{super().fence(tokens, idx, options, env)}</div>"

    def code_block(self, tokens: Tokens, idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"{_region('Code', env)}{super().code_block(tokens, idx, options, env)}</div>"


def _region(what: str, env: EnvType) -> str:
    env["regions"] = env.get("regions", 0) + 1
    return f'<div class="scroll" role="region" aria-label="{what} {env["regions"]}" tabindex="0">'


@cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    return made.disable(["image", "html_block", "html_inline"])


def _linked(tokens: list[Token]) -> list[Token]:
    """Without links that lead to files beside the text: they are not there on a page."""
    kept: list[Token] = []
    drops: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            drops.append(not str(token.attrGet("href") or "").startswith(OUTSIDE))
            token.attrSet("rel", "noreferrer")
        if token.type in ("link_open", "link_close") and drops[-1]:
            if token.type == "link_close":
                drops.pop()
            continue
        if token.type == "link_close":
            drops.pop()
        kept.append(token)
    return kept
