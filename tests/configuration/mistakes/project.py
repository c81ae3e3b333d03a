"""
A project that is in order, with something of everything; every mistake is one edit of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

KASKAD = """\
store: sqlite:///../data/kaskad.db
sources:
  http: {}
  kafka:
    bootstrap_servers: "localhost:9092"
    topics: [events]
    group: kaskad
    security: {protocol: SASL_SSL, sasl_mechanism: SCRAM-SHA-512, username: k, password: "${env:P}"}
statuses:
  kafka: {topic: kaskad.statuses}
  webhooks:
    - url: https://shop.example/hooks
      secret: ${env:HOOK}
channels:
  web_push:
    - provider: vapid
      adapter: web_push
      private_key: ${env:VAPID}
      subject: mailto:ops@example.com
  viber:
    - provider: infobip
      adapter: infobip_viber
      base_url: https://x.api.infobip.com
      api_key: ${env:KEY}
      sender: Shop
      webhook_token: ${env:TOKEN}
      track_clicks: true
      rate: 80/s
      timeout: 8s
      cost: {amount: "0.70", currency: UAH}
  whatsapp:
    - provider: meta
      adapter: whatsapp_cloud
      phone_number_id: "1234567890"
      access_token: ${env:KEY}
      app_secret: ${env:TOKEN}
      verify_token: ${env:TOKEN}
      cost: {amount: "1.90", currency: UAH}
  email:
    - provider: relay
      adapter: smtp
      host: mail.example.com
      port: 587
      tls: starttls
      username: shop
      password: ${env:KEY}
      from: Shop <hello@example.com>
      open_pixel: true
  sms:
    - provider: twilio
      adapter: twilio_sms
      account_sid: ${env:SID}
      auth_token: ${env:TOKEN}
      from: Shop
      cost: {amount: "1.20", currency: UAH, per: part}
http:
  listen: "0.0.0.0:8080"
  admin: "127.0.0.1:9464"
  public_url: https://kaskad.example.com
  auth: keys
egress: {allow: ["https://push.internal.example:8443"]}
breaker: {ratio: 0.5, min_requests: 20, window: 30s, open_for: 30s}
defaults: {wait: 10m, retry: {max: 3, within: 60s}}
limits: {sms_per_recipient: 5/1h, sms_per_prefix: 50/10m}
receipt_outage: {hold: true, min_sends: 200, ratio: 0.5}
retention: {messages: 90d, events: 30d, receipts: 30d, dead_letters: 30d}
migrate: auto
log: {level: info, format: json}
"""

GOVERNANCE = """\
time_zone: Europe/Kyiv
quiet_hours:
  night:
    window: "21:00-09:00"
    zone: recipient
    fallback_zone: Europe/Kyiv
    classes: [promotional, service]
    on_hit: defer
    max_defer: 14h
frequency_caps:
  promo_week: {classes: [promotional], limit: 3, per: 7d}
  sms_day: {channels: [sms], classes: [promotional], limit: 2, per: calendar_day}
min_gaps:
  promo_gap: {classes: [promotional], gap: 2h}
consent:
  transactional: opt_out
  promotional: opt_in
sms_countries: [UA, PL]
budget:
  sms: {per_day: 500.00, currency: UAH, on_hit: hold}
"""

CART = """\
policy: cart
trigger: {event: shop.cart.abandoned, when: "event.total >= 300"}
class: promotional
topic: cart_reminders
template: cart
deadline: 24h
dedupe: {key: "event.cart_id", window: 24h}
goal: {event: shop.order.placed, match: "goal.cart_id == event.cart_id"}
cascade:
  - channel: web_push
    wait: {delivered: 2m, clicked: 10m}
  - channel: viber
    providers: [infobip]
    wait: {delivered: 10m, read: 1h}
    ttl: 30m
    max_cost: "1.00"
  - channel: whatsapp
    wait: {delivered: 10m}
  - channel: email
    when: "recipient.email_engaged != false"
    wait: {read: 12h}
    retry: {max: 5, within: 2m}
  - channel: sms
    max_parts: 2
"""

OTP = """\
policy: otp
trigger: {event: shop.login.code}
class: otp
deadline: 5m
cascade:
  - channel: sms
    wait: {delivered: 30s}
    on_unknown: advance
  - channel: viber
    wait: {delivered: 1m}
"""

CART_TEST = """\
policy: cart
given:
  now: "2026-11-21T10:00:00+02:00"
  recipient:
    first_name: Олена
    gender: female
    locale: uk-UA
    time_zone: Europe/Kyiv
    phone: true
    email: true
    consents: [{state: in}]
  event:
    cart_id: "981"
    total: 3601.5
    eta: "2026-11-24"
    url: https://shop.example/cart/981
    items: [{name: Парфуми, price: 1200.5}, {name: Книга, price: 2401}]
tests:
  - name: who sees it in Viber gets nothing else
    given:
      providers: {viber: {delivered: 30s, read: 5m}}
    expect:
      steps: [0s send viber]
      outcome: succeeded by viber
"""

FILES: Mapping[str, str] = {
    "config/kaskad.yaml": KASKAD,
    "config/governance.yaml": GOVERNANCE,
    "config/policies/cart.yaml": CART,
    "config/policies/cart.test.yaml": CART_TEST,
    "config/policies/otp.yaml": OTP,
    "templates/cart/web_push.title.j2": "Your cart is waiting\n",
    "templates/cart/web_push.text.j2": "{{ event.total | money('UAH') }} in your cart\n",
    "templates/cart/web_push.yaml.j2": (
        'url: "https://shop.example/cart/{{ event.cart_id }}"\n'
        "actions:\n"
        "  - {action: open, title: Open}\n"
        'tag: "cart-{{ event.cart_id }}"\n'
    ),
    "templates/cart/viber.text.j2": "{{ event.items[0].name }} is waiting\n",
    "templates/cart/viber.uk.text.j2": (
        "{{ recipient.first_name | default('Вітаємо') | vocative }}, кошик чекає\n"
        "{% for item in event.items %}\n"
        "— {{ item.name }}: {{ item.price | money('UAH') }}\n"
        "{% endfor %}\n"
        "{{ event.items | length | plural('товар', 'товари', 'товарів') }}\n"
    ),
    "templates/cart/viber.yaml.j2": (
        'image: "https://shop.example/cart.png"\n'
        'button: {title: "To the cart", url: "{{ event.url | link }}"}\n'
    ),
    "templates/cart/whatsapp.yaml.j2": (
        "template: cart_reminder\n"
        "language: en\n"
        "body:\n"
        "  - \"{{ recipient.first_name | default('there') }}\"\n"
        "  - \"{{ event.total | money('UAH') }}\"\n"
    ),
    "templates/cart/email.subject.j2": "You left something in your cart\n",
    "templates/cart/email.text.j2": (
        "Total: {{ event.total | money('UAH') }}\n"
        "Until {{ event.eta | date('long') }}\n"
        "{{ event.url | link }}\n"
        "{{ unsubscribe_url }}\n"
    ),
    "templates/cart/email.html.j2": '<p>{{ event.total }} <a href="{{ unsubscribe_url }}">no</a>\n',
    "templates/cart/email.uk.subject.j2": "Ви щось залишили в кошику\n",
    "templates/cart/email.uk.text.j2": "Разом {{ event.total | money('UAH') }}\n",
    "templates/cart/email.uk.html.j2": "<p>Разом {{ event.total | money('UAH') }}\n",
    "templates/cart/sms.text.j2": "{{ event.items | length | plural('item', 'items') }} waiting\n",
    "templates/cart/sms.uk.text.j2": (
        "{{ recipient | gender('Ти забув', 'Ти забула', 'Забуто') }} кошик\n"
    ),
    "templates/otp/sms.text.j2": "{{ event.code }} is your code\n",
    "templates/otp/viber.text.j2": "{{ event.code }} is your code\n",
}


@cache
def environment() -> Mapping[str, str]:
    """A value that fits for every reference of the project."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    names = ("P", "KEY", "TOKEN")
    hook = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
    return {name: f"value-of-{name}-0123456789" for name in names} | {
        "SID": "ACcafecafecafecafecafecafecafecafe",
        "VAPID": key.decode(),
        "HOOK": hook,
    }


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def below(folder: Path) -> Iterator[Path]:
    """Every file of a folder."""
    return (path for path in folder.rglob("*") if path.is_file())
