"""
The unsubscribe page and one-click unsubscribing (RFC 8058).

A GET only ever shows the page, because mail scanners follow links; a POST acts. The page speaks the recipient's language,
needs no script, and says plainly what will stop.
"""

from __future__ import annotations

import html

from aiohttp import web

from orchestrator.api.ports import DEPS, ApiDeps
from orchestrator.engine.commands import OptOut

WORDS = {
    "uk": {
        "title": "Відписатися",
        "ask": "Ви більше не хочете отримувати від нас листи на цю тему?",
        "topic": "Відписатися від цієї теми",
        "all": "Не надсилати мені жодних листів",
        "done": "Готово. Ми більше не писатимемо вам про це.",
        "done_all": "Готово. Ми більше не надсилатимемо вам листів.",
        "gone": "Це посилання недійсне або застаріло.",
        "note": "Якщо ви передумаєте, підписатися знову можна у своєму профілі.",
    },
    "en": {
        "title": "Unsubscribe",
        "ask": "You no longer want mails from us about this?",
        "topic": "Unsubscribe from this topic",
        "all": "Send me no mails at all",
        "done": "Done. We will not write to you about this again.",
        "done_all": "Done. We will send you no more mails.",
        "gone": "This link is not valid, or too old.",
        "note": "If you change your mind, you can subscribe again in your profile.",
    },
}
PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.125rem/1.6 system-ui, sans-serif; margin: 0; padding: 2rem 1.25rem; }}
main {{ max-width: 30rem; margin: 10vh auto 0; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; }}
button {{ display: block; width: 100%; margin: .75rem 0; padding: .9rem 1rem; font: inherit; font-weight: 600;
  border-radius: .6rem; border: 1px solid #1d5bd8; background: #1d5bd8; color: #fff; cursor: pointer; }}
button.quiet {{ background: transparent; color: inherit; border-color: #8888; font-weight: 400; }}
button:focus-visible {{ outline: 3px solid #7aa5ff; outline-offset: 2px; }}
small {{ opacity: .75; }}
</style></head><body><main>{body}</main></body></html>
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
ONE_CLICK = "One-Click"


async def page(request: web.Request) -> web.Response:
    """What would stop, and two buttons."""
    deps = request.app[DEPS]
    found = deps.keys.read_unsubscribe(request.match_info["token"])
    words = WORDS[await language(deps, request, found[0] if found else None)]
    if found is None:
        return answer(words, f"<h1>{words['gone']}</h1>", 404)
    body = (
        f"<h1>{words['ask']}</h1><form method='post'>"
        f"<button name='scope' value='topic'>{words['topic']}</button>"
        f"<button class='quiet' name='scope' value='all'>{words['all']}</button></form>"
    )
    return answer(words, body)


async def unsubscribe(request: web.Request) -> web.Response:
    """A mail program's one click, or a button of the page. Both act at once."""
    deps = request.app[DEPS]
    found = deps.keys.read_unsubscribe(request.match_info["token"])
    words = WORDS[await language(deps, request, found[0] if found else None)]
    if found is None:
        return answer(words, f"<h1>{words['gone']}</h1>", 404)
    form = await request.post()
    recipient, channel, topic, message = found
    everything = form.get("scope") == "all"
    source = "one_click" if form.get("List-Unsubscribe") == ONE_CLICK else "unsubscribe_page"
    hash = await address_of(deps, message, channel)
    scope = "*" if everything else topic
    await deps.engine.submit(OptOut(recipient=recipient, address_hash=hash, channel=channel, topic=scope, source=source))
    deps.metrics.opt_outs.labels(channel, source).inc()
    done = words["done_all"] if everything else words["done"]
    return answer(words, f"<h1>{done}</h1><p><small>{words['note']}</small></p>")


async def address_of(deps: ApiDeps, message: str, channel: str) -> str | None:
    """The hash of the address that the mail went to, so that the opt-out holds for whoever shares it."""
    stored = await deps.reader.message(message)
    attempts = [] if stored is None else [a for a in stored.message.attempts if a.channel == channel]
    return attempts[-1].address_hash if attempts else None


async def language(deps: ApiDeps, request: web.Request, recipient: str | None) -> str:
    """The recipient's own language where it is known, else the browser's."""
    document = await deps.reader.recipient(recipient) if recipient is not None else None
    tag = str((document or {}).get("locale") or request.headers.get("Accept-Language", "uk"))
    return "uk" if tag.lower().startswith(("uk", "ru", "be")) else "en"


def answer(words: dict[str, str], body: str, status: int = 200) -> web.Response:
    lang = "uk" if words is WORDS["uk"] else "en"
    text = PAGE.format(lang=lang, title=html.escape(words["title"]), body=body)
    return web.Response(status=status, text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})
