"""Markdown on a page."""

import pytest

from mesh_assets.portal.prose import prose


def test_headings_come_below_the_pages_own_and_tables_can_be_scrolled():
    html = prose("# A\n\n| a | b |\n|--:|---|\n| `x` | y |\n\n```sql\nselect '<'\n```\n")
    assert "<h3>A</h3>" in html
    assert '<div class="scroll" role="region" aria-label="Table 1" tabindex="0"><table>' in html
    assert 'aria-label="Code 2"' in html
    assert "select '&lt;'" in html
    assert "style=" not in html
    assert html.count("<div") == html.count("</div>")


@pytest.mark.parametrize(
    "evil",
    [
        "<script>alert(1)</script>", "<b onclick=alert(1)>x</b>", "[x](javascript:alert(1))", "![x](http://far.example/x.png)",
        "[x](data:text/html,hi)", "[x](../secrets.md)", "[x](/etc/passwd)", '[x](https://a.b"onclick="alert)',
        "<https://a.b>", "[a][1]\n\n[1]: ../x.md", "`<script>`", "&lt;script&gt;",
    ],
)  # fmt: skip
def test_nothing_in_it_is_more_than_text_and_links_to_elsewhere(evil):
    from html.parser import HTMLParser

    found = []

    class Seen(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append((tag, dict(attrs)))

    Seen().feed(str(prose(evil)))
    assert {tag for tag, _ in found} <= {"p", "a", "code"}
    for _, attributes in found:
        assert set(attributes) <= {"href", "rel"}
        assert attributes.get("href", "https://").startswith(("https://", "http://"))
