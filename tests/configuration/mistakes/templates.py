"""Mistakes in templates and in the names of their files."""

from __future__ import annotations

from tests.configuration.mistakes.mistake import edit, edits, removed, renamed, whole

CART = "templates/cart/"
CASCADE = "config/policies/cart.yaml: "


SMS = "{{ event.items | length | plural('item', 'items') }} waiting"
SMS_UK = "{{ recipient | gender('Ти забув', 'Ти забула', 'Забуто') }} кошик"
TEXT = "Total: {{ event.total | money('UAH') }}"
PLURAL_UK = "plural('товар', 'товари', 'товарів')"

TEXTS = [
    *edits(
        CART + "sms.text.j2",
        [
            (SMS, "{{ evnt.x }} waiting", "no 'evnt'", "'event'"),
            (SMS, "{{ cart_id }} waiting", "no 'cart_id'", "event.cart_id"),
            (SMS, "{{ data.cart_id }} waiting", "no 'data'", "event"),
            (SMS, "{{ user.name }} waiting", "no 'user'", "recipient"),
            (SMS, "{{ recipent.first_name }} waiting", "no 'recipent'", "'recipient'"),
            (SMS, "{{ unsubscribe_link }} waiting", "no 'unsubscribe_link'", "unsubscribe_url"),
            (SMS, "{{ event.cart_id }", "unexpected '}'", "}}"),
            (SMS, "{{ event.cart_id", "", "}}"),
            (SMS, "{% if event.total %}", "", "endif"),
            (SMS, "{% if event.total %}a{% endfi %}", "endfi", "endif"),
            (SMS, "{% for item in event.items %}{{ item.name }}", "", "endfor"),
            (SMS, "{% for item of event.items %}a{% endfor %}", "", "for item in"),
            (SMS, "{{ event.total | mony('UAH') }}", "no filter 'mony'", "'money'"),
            (SMS, "{{ event.total | money('ГРН') }}", "money", "UAH"),
            (SMS, "{{ event.total | money('грн') }}", "money", "UAH"),
            (SMS, "{{ event.total | money('uah') }}", "money", "UAH"),
            (SMS, "{{ event.total | money }}", "money", "money('UAH')"),
            (SMS, "{{ event.total | money(980) }}", "money", "UAH"),
            (SMS, "{{ event.total | money('UAX') }}", "UAX", "UAH"),
            (SMS, "{{ 'x' | money('UAH') }}", "money", "number"),
            (SMS, "{{ event.cart_id | truncate_sms('one') }}", "truncate_sms", "truncate_sms(1)"),
            (SMS, "{{ event.cart_id | truncate_sms(0) }}", "truncate_sms", "truncate_sms(1)"),
            (SMS, "{{ event.cart_id | truncate_sms(1, 2) }}", "truncate_sms", "truncate_sms(1)"),
            (SMS, "{{ event.items | length | plural('item') }}", "1 form", "2"),
            (SMS, "{{ event.items | length | plural('a', 'b', 'c') }}", "3 forms", "2"),
            (SMS, "{{ event.items | length | plural('товар', 'товари') }}", "Cyrillic", "sms.uk"),
            (SMS, "{{ event.items | length | plural }}", "plural", "forms"),
            (SMS, "{{ event.items | plural('item', 'items') }}", "plural", "length"),
            (SMS, "{{ event.eta | date('lng') }}", "date", "'long'"),
            (SMS, "{{ event.eta | date('DD.MM.YYYY') }}", "date", "dd.MM.yyyy"),
            (SMS, "{{ event.eta | date('%d.%m.%Y') }}", "date", "dd.MM.yyyy"),
            (SMS, "{{ event.eta | date(5) }}", "date", "'long'"),
            (SMS, "{{ event.cart_id | date('long') }}", "date", "ISO 8601"),
            (SMS, "{{ 'shop.example/cart' | link }}", "link", "https://"),
            (SMS, "{{ 'email' | link_to }}", "link_to: there is no messenger 'email'", "link_to"),
            (SMS, "{{ 'viber' | link_to }}", "link_to: no provider of viber", "give one what"),
            (SMS, "{{ 'telegram' | link_to }}", "link_to: no provider of telegram", "give one"),
            (SMS, "{{ recipient | gender('waited') }}", "gender", "gender('"),
            (SMS, "{{ recipient.gender | gender('a', 'b') }}", "gender", "recipient | gender"),
            (SMS, "{{ event | gender('a', 'b', 'c') }}", "gender", "recipient | gender"),
            (SMS, "{{ event.cart_id | vocative('x') }}", "vocative", "vocative"),
            (SMS, "{{ event.cart_id | number('x') }}", "number", "number"),
            (SMS, "{{ event.name | default }}{{ event.total | round('x') }}", "round", ""),
            (SMS, "{{ event.items }}", "list", "name what"),
            (SMS, "{{ event.total() }}", "called", "filter"),
            (SMS, "{{ event.cart_id.format(1) }}", "format", "filter"),
            (SMS, "{% include 'footer.j2' %}", "include", "write it out"),
            (SMS, "{% macro a() %}{% endmacro %}", "macro", "write it out"),
            (SMS, "{% import 'a' as b %}", "import", "write it out"),
            (SMS, "{{ event.__class__ }}", "__class__", "event"),
            (SMS, "{{ event.totl | money('UAH') }}", "warning: no sample", "event.total"),
            (SMS, "{{ event.crat_id }} waiting", "warning: no sample", "event.cart_id"),
            (SMS, "{{ event.item.name }} waiting", "warning: no sample", "event.items"),
            (SMS, "{{ recipient.firstname }} waiting", "warning", "recipient.first_name"),
            (SMS, "{{ recipient.name }} waiting", "warning", "recipient.first_name"),
            (SMS, "{{ message.polcy }} waiting", "message.polcy", "message.policy"),
            (SMS, "{{ 'abc' + 1 }} waiting", "", "~"),
            (SMS, "{{ 1 / 0 }} waiting", "", "zero"),
            (SMS, "{{ now.hour }} waiting", "`now` is a text", "date("),
            (SMS, "{{ }} waiting", "", "expression"),
            (SMS, "{# comment", "comment", "#}"),
            (SMS, "", "the text is empty", "write"),
            (SMS, "{{ '' }}", "the text is empty", "write"),
            (SMS, "Hi\n{{ event.total | mony }}\n", "no filter 'mony'", "'money'"),
            (SMS, "Hi\n{{ evnt.total }}\n", "no 'evnt'", "'event'"),
        ],
    ),
    *edits(
        CART + "sms.uk.text.j2",
        [
            (SMS_UK, "{{ recipient | gender('чекав') }}", "gender", "gender('"),
            (SMS_UK, "{{ 5 | plural('товар', 'товари') }}", "2 forms", "3"),
            (SMS_UK, "{{ event.total | plural('товар') }}", "1 form", "3"),
            (SMS_UK, "{{ 5 | plural('а', 'б', 'в', 'г', 'ґ') }}", "5 forms", "3"),
        ],
    ),
    edit(
        CART + "viber.text.j2",
        "{{ event.items[0].name }} is",
        "{{ event.items | length | plural('товар', 'товари', 'товарів') }} is",
        "Cyrillic",
        "default_locale",
    ),
    edit(CART + "email.text.j2", TEXT, "Total: {{ event.totl }}", "warning: no", "event.total"),
    edit(CART + "email.html.j2", "{{ event.total }}", "{{ evnt.total }}", "no 'evnt'", "'event'"),
    edit(CART + "email.subject.j2", "You left", "=?utf-8?b?0JDQ?= You", "encoded word", "write"),
]

YAML = [
    *edits(
        CART + "viber.yaml.j2",
        [
            (', url: "{{ event.url | link }}"', "", "button", "url:"),
            ('title: "To the cart", ', "", "button", "title:"),
            ("button: {", "buton: {", "no key 'buton'", "'button'"),
            ("image: ", "picture: ", "no key 'picture'", "image"),
            ('"https://shop.example/cart.png"', '"cart.png"', "image", "https://"),
            ('"https://shop.example/cart.png"', "5", "image", "https://"),
            ("button: {title", "button: [title", "YAML", "bracket"),
            (
                '"{{ event.url | link }}"',
                "{{ event.url | link }}",
                "outside a double-quoted",
                '"{{',
            ),
            ('"{{ event.url | link }}"', "'{{ event.url | link }}'", "double-quoted", '"{{'),
            ("image: ", "image ", "YAML", "key: value"),
            ('image: "https://shop.example/cart.png"', "just a text", "YAML", "key: value"),
            ('image: "https', '\timage: "https', "YAML", "spaces"),
            ('link }}"}', 'link }}", titel: b}', "'titel'", "'title'"),
        ],
    ),
    whole(CART + "viber.yaml.j2", "- a\n- b\n", "not a mapping", "key: value"),
    whole(CART + "viber.yaml.j2", "", "empty", "remove"),
    *edits(
        CART + "whatsapp.yaml.j2",
        [
            ("template: cart_reminder\n", "", "template", "template:"),
            ("language: en\n", "", "language", "language:"),
            ("language: en\n", "lang: en\n", "no key 'lang'", "'language'"),
            ("body:\n", "parameters:\n", "no key 'parameters'", "body"),
            ("body:\n", "body: text\nbutton:\n", "no key 'button'", "'buttons'", "button:"),
            ("language: en\n", "language: en\nbuttons: yes\n", "buttons", "list"),
        ],
    ),
    *edits(
        CART + "web_push.yaml.j2",
        [
            ("url: ", "link: ", "no key 'link'", "url"),
            ("title: Open}", "titel: Open}", "action", "title"),
            ("  - {action: open, title: Open}\n", "  - open\n", "action", "title"),
            ('url: "https://shop', 'url: "shop', "url", "https://"),
        ],
    ),
]

NAMES = [
    renamed(CART + "sms.uk.text.j2", CART + "sms.uk.text", "warning: this file", "sms.uk.text.j2"),
    renamed(CART + "sms.uk.text.j2", CART + "sms.uk.txt.j2", "no part", "sms.uk.text.j2"),
    renamed(CART + "sms.uk.text.j2", CART + "sms.text.uk.j2", "no part", "sms.uk.text.j2"),
    renamed(CART + "sms.uk.text.j2", CART + "sms.uk.j2", "no part", "sms.uk.text.j2"),
    renamed(CART + "sms.uk.text.j2", CART + "sms.uk_UA.text.j2", "'uk_UA'", "sms.uk-UA.text.j2"),
    renamed(CART + "sms.uk.text.j2", CART + "sms.ua.text.j2", "'ua'", "sms.uk.text.j2"),
    renamed(CART + "viber.uk.text.j2", CART + "viber.ua.text.j2", "'ua'", "viber.uk.text.j2"),
    renamed(CART + "viber.uk.text.j2", CART + "viber.ukr.text.j2", "'ukr'", "viber.uk.text.j2"),
    renamed(CART + "viber.uk.text.j2", CART + "vibr.uk.text.j2", "'vibr'", "viber.uk.text.j2"),
    renamed(CART + "viber.uk.text.j2", CART + "viber.uk.html.j2", "html", "text"),
    renamed(CART + "viber.uk.text.j2", CART + "Viber.uk.text.j2", "'Viber'", "viber.uk.text.j2"),
    renamed(CART + "viber.uk.text.j2", CART + "viber.uk.text.jinja2", "warning: this", "text.j2"),
    renamed(CART + "viber.uk.text.j2", CART + "viber.uk.text.j2.txt", "warning: this", "text.j2"),
    renamed(CART + "viber.uk.text.j2", CART + "uk/viber.text.j2", "warning: this", "uk.text.j2"),
    renamed(CART + "viber.uk.text.j2", "templates/viber.uk.text.j2", "warning: this", "folder"),
    whole(CART + "viber.uk.title.j2", "x\n", "title", "text"),
    whole(CART + "viber.text.yaml", "image: a\n", "warning: this file", "viber.yaml.j2"),
]

MISSING = [
    removed(
        CART + "email.subject.j2",
        "no email.subject",
        "email.subject.j2",
        CASCADE + "channel: email",
    ),
    removed(
        CART + "web_push.title.j2", "no web_push.title", "title.j2", CASCADE + "channel: web_push"
    ),
    removed(
        CART + "web_push.text.j2", "no web_push.text", "text.j2", CASCADE + "channel: web_push"
    ),
    removed(
        CART + "whatsapp.yaml.j2",
        "nothing for whatsapp",
        "whatsapp.yaml.j2",
        CASCADE + "channel: whatsapp",
    ),
    removed(
        CART + "sms.text.j2",
        "warning: the template 'cart' has sms only in uk",
        "sms.text.j2",
        CASCADE + "channel: sms",
    ),
    removed(
        CART + "email.uk.subject.j2",
        "warning: email.uk.text",
        "email.uk.subject.j2",
        CART + "email.uk.text.j2: Раз",
    ),
]

BYTES = [
    whole(CART + "sms.text.j2", "Привіт".encode("cp1251"), "not UTF-8", "UTF-8"),
    whole(CART + "sms.text.j2", "a" * 300_000, "256 KiB", "smaller"),
]

MISTAKES = [*TEXTS, *YAML, *NAMES, *MISSING, *BYTES]
