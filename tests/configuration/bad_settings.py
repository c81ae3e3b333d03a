"""Settings that are wrong, and what is said of them."""

from __future__ import annotations

SID = "ACcafe"
TWILIO = f"provider: twilio, adapter: twilio_sms, account_sid: {SID}, from: Shop"
SMS = f"channels: {{sms: [{{{TWILIO}, auth_token: '${{env:TOKEN}}'}}]}}\n"

BAD: list[tuple[str, list[str]]] = [
    ("", ["k.yaml:1:1: the configuration is empty; write at least `channels:` with one provider"]),
    (
        "store: sqlite:///x.db",
        [
            "k.yaml:1:1: the configuration has no `channels`; name a provider: channels: {sms:"
            " [{provider: …, adapter: …}]}"
        ],
    ),
    (
        SMS + "telemetry: {traces: {}}",
        ['k.yaml:2:21: `traces` has no `endpoint`; write endpoint: "http://localhost:4318"'],
    ),
    (
        SMS + "telemetry: {traces: {endpoint: 'localhost:4318', sample: 2}}",
        [
            "k.yaml:2:32: `endpoint` is not a URL; write http://localhost:4318",
            "k.yaml:2:58: `sample` cannot be 2; write a share above 0 and at most 1",
        ],
    ),
    (
        "channels: {}",
        ["k.yaml:1:11: `channels` names no channel; configure one: sms: [{provider: …}]"],
    ),
    (
        "channels: {sms: []}",
        ["k.yaml:1:12: the channel 'sms' has no provider; add one, or remove the channel"],
    ),
    (
        "channels: {sms: {provider: a}}",
        [
            (
                "k.yaml:1:17: `sms` is a mapping; write"
                " a list of providers, each with a dash: - provider: …"
            ),
        ],
    ),
    (
        "channels: {sms: [{adapter: twilio}]}",
        [
            "k.yaml:1:18: the provider has no `provider`; name it: provider: twilio",
            "k.yaml:1:28: there is no adapter 'twilio'; did you mean 'twilio_sms'?",
        ],
    ),
    (
        "channels: {sms: [{provider: a}]}",
        ["k.yaml:1:18: the provider has no `adapter`; name its adapter: adapter: twilio_sms"],
    ),
    (
        "channels: {viber: [{" + TWILIO + ", auth_token: '${env:TOKEN}'}]}",
        ["k.yaml:1:48: the adapter 'twilio_sms' serves sms, not viber; put it under sms"],
    ),
    (
        "channels: {sms: [{" + TWILIO + "}]}",
        [
            "k.yaml:1:18: the provider has no `auth_token`, which twilio_sms needs; write"
            " auth_token: …"
        ],
    ),
    (
        SMS.replace("account_sid", "acount_sid"),
        [
            (
                "k.yaml:1:58: the adapter twilio_sms has no setting 'acount_sid'; did you mean"
                " 'account_sid'?"
            ),
        ],
    ),
    (
        SMS.replace("from: Shop", "from: 5"),
        ["k.yaml:1:85: `from` is not a text in quotes; write a text in quotes"],
    ),
    (
        SMS.replace("from: Shop", "allow_unsigned: perhaps, from: Shop"),
        ["k.yaml:1:95: `allow_unsigned` is not true or false; write true or false"],
    ),
    (
        SMS.replace(", from: Shop", ""),
        [
            "k.yaml:1:18: the provider is not right: give exactly one of `from` (a sender) and "
            "`messaging_service_sid` (a pool of senders); see the settings of twilio_sms"
        ],
    ),
    (
        SMS.replace("from: Shop", "rate: 80, from: Shop"),
        ["k.yaml:1:85: `rate` is not a rate (80); write a count and a time: 80/s or 5/1h"],
    ),
    (
        SMS.replace("from: Shop", "rate: 0/s, from: Shop"),
        ["k.yaml:1:85: `rate` is not a rate (0/s); write a count and a time: 80/s or 5/1h"],
    ),
    (
        SMS.replace("from: Shop", "timeout: 5, from: Shop"),
        ["k.yaml:1:88: `timeout` 5 has no unit; write it: 5s, 5m, 5h or 5d"],
    ),
    (
        SMS.replace("from: Shop", "cost: {amount: 1}, from: Shop"),
        ["k.yaml:1:85: `cost` has no `currency`; write currency: UAH"],
    ),
    (
        SMS.replace("}]}", "}], email: [{" + TWILIO + "}]}"),
        [
            (
                "k.yaml:1:140: the provider 'twilio' is already on line 1; give each provider a"
                " name of its own"
            ),
            "k.yaml:1:157: the adapter 'twilio_sms' serves sms, not email; put it under sms",
        ],
    ),
    (
        SMS.replace("env:TOKEN", "env:NONE"),
        ["k.yaml:1:103: the environment variable NONE is not set; set it before starting"],
    ),
    (
        SMS.replace("env:TOKEN", "file:none.txt"),
        [
            "k.yaml:1:103: the file none.txt cannot be read: no such file or directory; check its"
            " path and permissions"
        ],
    ),
    (
        SMS.replace("env:TOKEN", "vault:x"),
        ["k.yaml:1:103: ${vault:x} is not a reference; write ${env:NAME} or ${file:path}"],
    ),
    (
        SMS + "chanels: {}",
        ["k.yaml:2:1: the configuration has no key 'chanels'; did you mean 'channels'?"],
    ),
    (
        SMS + "store: mysql://x",
        [
            "k.yaml:2:8: `store` is not a database that is known; write sqlite:///../data/kaskad.db"
            " or postgresql://user@host/name"
        ],
    ),
    (
        SMS + "sources: {kafka: {topics: [a]}}",
        [
            "k.yaml:2:18: `kafka` has no `bootstrap_servers`; write bootstrap_servers:"
            ' "localhost:9092"'
        ],
    ),
    (
        SMS + "sources: {kafka: {bootstrap_servers: localhost, topics: [a]}}",
        [
            (
                "k.yaml:2:38: `bootstrap_servers` 'localhost' is not host:port; write"
                " host:port, such as localhost:9092"
            ),
        ],
    ),
    (
        SMS + "sources: {kafka: {bootstrap_servers: 'a:1', topics: []}}",
        ["k.yaml:2:53: `topics` is empty; name at least one, or remove the key"],
    ),
    (
        SMS + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a], security: {protocol:"
        " SASL_SSL}}}",
        [
            "k.yaml:2:68: `security` has no `username`; write username: ${env:KAFKA_USERNAME}",
            "k.yaml:2:68: `security` has no `password`; write password: ${env:KAFKA_PASSWORD}",
        ],
    ),
    (
        SMS + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a, b, a]}}",
        ["k.yaml:2:60: `topics` names 'a' twice; remove one"],
    ),
    (
        SMS + "sources: {kafka: {bootstrap_servers: 'a:1', topics: ['a b']}}",
        [
            "k.yaml:2:53: `topics` 'a b' is not a topic name; use letters, digits, dots, _ and -,"
            " at most 249 characters"
        ],
    ),
    (
        SMS + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a], dead_letters: a}}",
        [
            "k.yaml:2:72: 'a' would be read again, as an event, because it is one of `topics`; "
            "name a topic of its own, or off"
        ],
    ),
    (
        SMS + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a]}}\nstatuses: {kafka:"
        " {topic: a}}",
        [
            "k.yaml:3:27: 'a' is a topic of `sources.kafka` already; name a topic of its own:"
            " topic: kaskad.statuses"
        ],
    ),
    (
        SMS
        + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a], security: {ca: nowhere.pem}}}",
        [
            "k.yaml:2:73: the file of `ca` does not exist; name a PEM file",
        ],
    ),
    (
        SMS
        + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a], security: {protocol: SSL, ca:"
        " k.yaml}}}",
        ["k.yaml:2:88: the file of `ca` cannot be used; name a PEM file with certificates"],
    ),
    (
        SMS
        + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a], security: {protocol: SSL, cert:"
        " k.yaml}}}",
        [
            "k.yaml:2:90: the file of `cert` cannot be used; give a PEM certificate and its own"
            " key, unencrypted"
        ],
    ),
    (
        SMS
        + "sources: {kafka: {bootstrap_servers: 'a:1', topics: [a], security: {protocol: SSL, key:"
        " k.yaml}}}",
        ["k.yaml:2:89: `key` is given without `cert`; name the client certificate too"],
    ),
    (
        SMS + "statuses: {kafka: {}}",
        [
            "k.yaml:2:19: `statuses.kafka` does not know where Kafka is; write bootstrap_servers:"
            ' "localhost:9092"'
        ],
    ),
    (
        SMS + "statuses: {webhooks: [{url: ftp://x, secret: '${env:HOOK}'}]}",
        ["k.yaml:2:29: `url` 'ftp://x' is not a URL; write https://host/path"],
    ),
    (
        SMS + "http: {listen: 8080}",
        [
            (
                "k.yaml:2:16: `listen` is a whole number (8080); write"
                ' host:port in quotes: "127.0.0.1:8080"'
            ),
        ],
    ),
    (
        SMS + "http: {listen: localhost}",
        [
            (
                "k.yaml:2:16: `listen` 'localhost' is not host:port; write"
                ' host:port with a port up to 65535, such as "127.0.0.1:8080"'
            ),
        ],
    ),
    (
        SMS + "http: {admin: '127.0.0.1:8080'}",
        ["k.yaml:2:15: `listen` and `admin` are the same address; give them different ports"],
    ),
    (
        SMS + "http: {listen: '0.0.0.0:8080', public_url: https://a.example, auth: off}",
        [
            "k.yaml:2:69: `auth: off` is for loopback only, and a listener is not on it; "
            "write auth: keys, or listen on 127.0.0.1"
        ],
    ),
    (
        SMS + "http: {listen: '0.0.0.0:8080'}",
        [
            "k.yaml:2:7: `public_url` is missing, and `listen` is not on loopback; write"
            ' public_url: "https://kaskad.example.com"'
        ],
    ),
    (
        SMS + "http: {listen: '0.0.0.0:8080', public_url: 'http://a.example'}",
        ["k.yaml:2:44: `public_url` is plain http; write https://…, or listen on 127.0.0.1"],
    ),
    (SMS + "http: {auth: none}", ["k.yaml:2:14: `auth` cannot be 'none'; write keys or off"]),
    (
        SMS + "egress: {allow: ['https://a.example/path']}",
        [
            "k.yaml:2:18: 'https://a.example/path' is not an origin; write https://host:port"
            " without a path"
        ],
    ),
    (
        SMS + "receipt_outage: {hold: yes}",
        [
            "k.yaml:2:24: `hold` is a text (yes); write true or false (yes, no, on and off are"
            " words)"
        ],
    ),
    (
        SMS + "receipt_outage: {ratio: 50}",
        ["k.yaml:2:25: `ratio` cannot be 50; write a share above 0 and at most 1"],
    ),
    (
        SMS + "limits: {sms_per_recipient: 5}",
        [
            "k.yaml:2:29: `sms_per_recipient` is not a rate (5); write a count and a time: 80/s or"
            " 5/1h"
        ],
    ),
    (SMS + "migrate: never", ["k.yaml:2:10: `migrate` cannot be 'never'; write auto or manual"]),
    (
        SMS + "log: {level: warn}",
        ["k.yaml:2:14: `level` cannot be 'warn'; did you mean 'warning'?"],
    ),
    (
        SMS + "retention: {messages: forever}",
        [
            "k.yaml:2:23: `messages` 'forever' is not a duration; write a whole number and a unit:"
            " 250ms 30s 10m 24h 7d"
        ],
    ),
    (
        SMS + "signing_key: ${env:TOKEN}",
        ["k.yaml:2:14: `signing_key` is too short to be safe; use at least 16 random characters"],
    ),
]
