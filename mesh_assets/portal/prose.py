"""What people write in Markdown, as HTML that is safe and whose links lead somewhere."""

from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

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


@cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "html_block", "html_inline"])
    for name, opening in (("table_open", "<table>"), ("fence", None), ("code_block", None)):
        rule = made.renderer.rules.get(name)

        def render(tokens, index, options, env, rule=rule, opening=opening):  # noqa: ANN001, ANN202 - markdown-it's own
            inner = opening or rule(tokens, index, options, env)
            env["regions"] = env.get("regions", 0) + 1
            label = f"{'Table' if opening else 'Code'} {env['regions']}"
            region = f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">{inner}'
            return region if opening else f"{region}</div>"

        made.renderer.rules[name] = render
    made.renderer.rules["table_close"] = lambda *_: "</table></div>\n"
    return made


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
