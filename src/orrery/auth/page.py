"""Pages that are there before anybody is signed in: plain HTML, which works without scripts.

Their policy (CSP) lets a browser load nothing but the style, and the script where there is one, that stand
in the page itself, by their digests.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from fastapi.responses import HTMLResponse

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f4f4f5; --card: #fff; --ink: #18181b; --line: #d4d4d8;
  --soft: #52525b; --bad: #b91c1c; --bad-ground: #fef2f2; --do: #1d4ed8; --do-ink: #fff; }
@media (prefers-color-scheme: dark) { :root { --ground: #09090b; --card: #18181b; --ink: #fafafa;
  --line: #3f3f46; --soft: #a1a1aa; --bad: #fca5a5; --bad-ground: #450a0a; --do: #60a5fa;
  --do-ink: #09090b; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.25rem;
  font: 16px/1.5 system-ui, sans-serif; background: var(--ground); color: var(--ink); }
main { width: 100%; max-width: 24rem; padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; line-height: 1.3; margin: 0 0 .25rem; }
p { color: var(--soft); margin: 0 0 1rem; }
[role=alert] { color: var(--bad); background: var(--bad-ground); padding: .6rem .75rem; border-radius: 6px; }
label { display: block; margin-top: 1rem; font-weight: 500; }
small { display: block; color: var(--soft); font-weight: 400; }
input { width: 100%; margin-top: .25rem; padding: .5rem .6rem; font: inherit; color: inherit;
  border: 1px solid var(--line); border-radius: 6px; background: var(--card); }
button, .way { display: block; width: 100%; margin-top: 1.5rem; padding: .6rem; border-radius: 6px;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
  border: 1px solid var(--do); background: var(--do); color: var(--do-ink); }
.way { margin-top: .75rem; background: none; color: inherit; border-color: var(--line); }
.or { display: flex; gap: .75rem; align-items: center; margin: 1.5rem 0 0; color: var(--soft); }
.or::before, .or::after { content: ""; flex: 1; border-top: 1px solid var(--line); }
:is(input, button, a):focus-visible { outline: 2px solid var(--do); outline-offset: 2px; }
[hidden] { display: none; }
"""


def page(
    title: str, body: str, *, lead: str = "", complaint: str = "", status: int = 200, script: str = ""
) -> HTMLResponse:
    """Return a page. `body` is HTML, made by the caller of escaped text; all else is text."""
    said = f'<p role="alert">{escape(complaint)}</p>\n' if complaint else ""
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)} · Orrery Runtime</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{f'<p>{escape(lead)}</p>' if lead else ''}\n{said}{body}\n</main>\n"
        f"{f'<script>{script}</script>' if script else ''}\n</body>\n</html>\n"
    )
    scripts = f"script-src '{_digest(script)}'; " if script else ""
    headers = {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src '{_digest(_STYLE)}'; {scripts}"
            "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        ),
    }
    return HTMLResponse(html, status_code=status, headers=headers)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
