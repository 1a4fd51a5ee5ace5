"""Put the page together: one HTML file of style, program, facts and blocks."""

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from aecli import json_text
from aecli.explore.blocks import Blocks, Facts

# In the order in which they are put together; each uses only those before it, `main` all.
SCRIPTS = (
    "blocks", "model", "pixels", "points", "camera", "colors", "dots", "thumbnails", "selection",
    "view", "card", "line", "place", "input", "panel", "main",
)  # fmt: skip
# The policy lets run what is in the page, by its hash, and lets nothing be fetched from anywhere:
# pictures and workers come from the page's own memory.
_POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
    "img-src data: blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
)


def script() -> str:
    """Return the program of the page: its files, one after the other, in one scope."""
    parts = "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def page(facts: Facts, blocks: Blocks) -> Iterator[bytes]:
    """Yield the page in parts.

    Names of files and classes in the facts are anybody's: in JSON they cannot end the element that
    they are in, as `<` is escaped, and the program shows them as text.
    """
    program, style = script(), _read("style.css")
    policy = _POLICY.format(script=_hash(program), style=_hash(style))
    head, _, rest = _read("page.html").partition("<!--data-->")
    title = escape(facts["title"])
    head = head.replace("<!--title-->", title).replace("<!--policy-->", escape(policy, quote=False))
    yield head.replace("<!--style-->", f"<style>{style}</style>").encode()
    text = json_text.dump(facts).replace("<", "\\u003c")
    yield f'<script type="application/json" id="facts">{text}</script>\n'.encode()
    for name, data in blocks:
        yield f'<script type="application/octet-stream" id="block-{name}">'.encode()
        yield data.encode()
        yield b"</script>\n"
    yield rest.replace("<!--script-->", f"<script>{program}</script>").encode()


def _read(name: str) -> str:
    return (files("aecli.explore") / "page" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
