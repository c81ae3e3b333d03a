"""Templates that look odd and are right."""

from __future__ import annotations

from tests.configuration.odd_but_right import Odd


def template(name: str, path: str, text: str, *warnings: str) -> Odd:
    """One template that is written anew."""
    return Odd(name, {f"templates/cart/{path}": text}, warnings)


TEMPLATES = [
    template(
        "a comparison with a key that no sample has",
        "sms.text.j2",
        "{% if event.total > event.minimum | default(300) %}Free delivery{% else %}Hi{% endif %}\n",
    ),
    template("a comment", "sms.text.j2", "{# for the cashier #}You left {{ event.cart_id }}\n"),
    template(
        "a variable of its own",
        "sms.text.j2",
        "{% set n = event.items | length %}{{ n }} waiting\n",
    ),
    template(
        "an optional key",
        "sms.text.j2",
        "Cart {{ event.cart_id }}{% if event.coupon is defined %}, {{ event.coupon }}{% endif %}\n",
    ),
    template(
        "an optional key with a default",
        "sms.text.j2",
        "Cart {{ event.nickname | default('yours') }}\n",
    ),
    template(
        "two optional ones in turn",
        "sms.text.j2",
        "{{ event.title or event.cart_id }} waits\n",
        "no sample",
    ),
    template(
        "a loop with its index",
        "email.text.j2",
        (
            "{% for i in event.items %}{{ loop.index }}. {{ i.name }}\n"
            "{% endfor %}{{ unsubscribe_url }}\n"
        ),
    ),
    template(
        "a loop with an else",
        "email.text.j2",
        (
            "{% for i in event.items %}{{ i.name }}{% else %}nothing{% endfor %} {{ "
            "unsubscribe_url }}\n"
        ),
    ),
    template(
        "blanks cut off", "sms.text.j2", "{%- for i in event.items -%}{{ i.name }} {% endfor -%}\n"
    ),
    template(
        "braces as text",
        "sms.text.j2",
        "{{ '{{' }} is a brace, {% raw %}{{ so is this }}{% endraw %}\n",
    ),
    template("only static text", "sms.text.j2", "Your cart is waiting"),
    template("a dollar and a percent", "sms.text.j2", "50 % off, only $ 5 & more <today>\n"),
    template("emoji of several parts", "viber.text.j2", "👩‍👩‍👧 🇺🇦 {{ event.cart_id }}\n"),
    template("right to left", "viber.text.j2", "שלום {{ event.cart_id }}\n"),
    template(
        "a shortened text",
        "sms.text.j2",
        "{{ event.items | map(attribute='name') | join(', ') | truncate_sms(1) }}\n",
    ),
    template(
        "arithmetic", "sms.text.j2", "{{ (event.total * 0.9) | round(2) | money('UAH') }} today\n"
    ),
    template("another currency", "sms.text.j2", "{{ event.total | money('EUR') }} today\n"),
    template(
        "plural of an own number",
        "sms.uk.text.j2",
        "{{ 3 | plural('товар', 'товари', 'товарів') }} чекають\n",
    ),
    template(
        "one more language",
        "sms.pl.text.j2",
        "{{ event.items | length | plural('rzecz', 'rzeczy', 'rzeczy') }}\n",
    ),
    template(
        "a language with its country", "sms.uk-UA.text.j2", "Кошик {{ event.cart_id }} чекає\n"
    ),
    template(
        "structured parts in blocks",
        "viber.yaml.j2",
        (
            'image: "https://shop.example/a.png"\n'
            "{% if event.total > 100 %}\n"
            'button: {title: "To the cart", url: "{{ event.url }}"}\n'
            "{% endif %}\n"
        ),
    ),
]
