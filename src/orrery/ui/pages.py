"""Documentation, release notes and support as pages that the deployment serves itself, also offline."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from markdown_it import MarkdownIt

from orrery.ui.runtime import PAGES, Page

_SHELL = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #d4d4d8; --link: #0b5cad; --soft: #f4f4f5; }}
@media (prefers-color-scheme: dark) {{ :root {{ --line: #3f3f46; --link: #8cc2ff; --soft: #27272a; }} }}
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1.25rem; }}
h1, h2 {{ line-height: 1.25; }} h2 {{ margin-top: 2.25rem; }}
a {{ color: var(--link); }}
nav {{ border-bottom: 1px solid var(--line); padding-bottom: .75rem; }}
nav {{ display: flex; flex-wrap: wrap; gap: 1.25rem; }}
nav a[aria-current] {{ color: inherit; font-weight: 600; text-decoration: none; }}
code, pre {{ font: .9em/1.5 ui-monospace, monospace; background: var(--soft); border-radius: 4px; }}
code {{ padding: .1em .3em; }} pre {{ padding: .75rem 1rem; overflow-x: auto; }} pre code {{ padding: 0; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
th, td {{ text-align: start; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid var(--line); }}
</style>
</head>
<body>
<nav aria-label="Orrery Runtime">{navigation}</nav>
<main>
{content}</main>
</body>
</html>
"""


@cache
def render(page: Page) -> str:
    """Return the page as HTML. HTML inside the Markdown is escaped, not passed through."""
    source = files("orrery.ui").joinpath("pages", f"{page}.md").read_text(encoding="utf-8")
    content = MarkdownIt("commonmark", {"html": False}).enable("table").render(source)
    navigation = "".join(
        f'<a href="{other}"{" aria-current=page" if other == page else ""}>{_label(other)}</a>'
        for other in PAGES
    )
    return _SHELL.format(title=f"{_label(page)} · Orrery Runtime", navigation=navigation, content=content)


def _label(page: Page) -> str:
    return page.replace("-", " ").capitalize()
