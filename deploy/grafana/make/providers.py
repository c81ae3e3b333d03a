"""Kaskad / Providers: what they answer, how fast, and what they report later."""

from deploy.grafana.make.panels import RANGE, RATE, Dashboard, Panel, bars, lines, quantile

CHOSEN = '{provider=~"$provider"}'

PROVIDERS = Dashboard(
    "kaskad-providers",
    "Kaskad / Providers",
    (
        (
            "Answers",
            (
                lines(
                    "Calls, by outcome",
                    "accepted, not_sent (nothing left), refused (a definite no), unknown (it may"
                    " have left).",
                    (
                        "{{provider}} {{outcome}}",
                        (
                            "sum by (provider, outcome)"
                            f" (rate(kaskad_send_attempts_total{CHOSEN}{RATE}))"
                        ),
                    ),
                    unit="reqps",
                ),
                lines(
                    "Share accepted",
                    "Of all calls to a provider.",
                    (
                        "{{provider}}",
                        (
                            "sum by (provider)"
                            ' (rate(kaskad_send_attempts_total{outcome="accepted",'
                            f' provider=~"$provider"}}{RATE})) / sum by (provider)'
                            f" (rate(kaskad_send_attempts_total{CHOSEN}{RATE}))"
                        ),
                    ),
                    unit="percentunit",
                ),
                lines(
                    "Share unknown",
                    "Calls that may or may not have sent; repeated only if the policy says so.",
                    (
                        "{{provider}}",
                        (
                            f"sum by (provider) (rate(kaskad_unknown_outcomes_total{CHOSEN}{RATE}))"
                            f" / sum by (provider) (rate(kaskad_send_attempts_total{CHOSEN}{RATE}))"
                        ),
                    ),
                    unit="percentunit",
                    red_over=0.02,
                ),
                bars(
                    "Error codes",
                    "{{provider}} {{code}}",
                    "sum by (provider, code)"
                    f" (increase(kaskad_provider_errors_total{CHOSEN}{RANGE}))",
                    "The provider's own words; its documentation explains them.",
                ),
                bars(
                    "Refusals, by reason",
                    "{{provider}} {{reason}}",
                    f"sum by (provider, reason) (increase(kaskad_refusals_total{CHOSEN}{RANGE}))",
                    "refused_configuration is ours to fix, at once.",
                ),
            ),
        ),
        (
            "How fast, how much",
            (
                lines(
                    "How long a call takes (median, 19 of 20, 99 of 100)",
                    "Compare with the provider's timeout.",
                    (
                        "{{provider}} median",
                        quantile(0.5, "kaskad_send_duration_seconds", "provider", CHOSEN),
                    ),
                    (
                        "{{provider}} 19 of 20",
                        quantile(0.95, "kaskad_send_duration_seconds", "provider", CHOSEN),
                    ),
                    (
                        "{{provider}} 99 of 100",
                        quantile(0.99, "kaskad_send_duration_seconds", "provider", CHOSEN),
                    ),
                    unit="s",
                    width=12,
                ),
                lines(
                    "Calls a second, all processes",
                    "Compare with the provider's rate: it is for the whole installation.",
                    (
                        "{{provider}}",
                        (
                            "sum by (provider)"
                            f" (rate(kaskad_send_duration_seconds_count{CHOSEN}{RATE}))"
                        ),
                    ),
                    unit="reqps",
                    width=12,
                ),
                lines(
                    "Under way",
                    "Calls that have not been answered yet.",
                    ("{{provider}}", f"sum by (provider) (kaskad_inflight_requests{CHOSEN})"),
                ),
                lines(
                    "Waiting",
                    "Durable backlog; each process counts up to 10 000 for each class.",
                    (
                        "{{provider}} {{class}}",
                        f"sum by (provider, class) (kaskad_queue_depth{CHOSEN})",
                    ),
                    stacked=True,
                ),
                Panel(
                    "state-timeline",
                    "Breaker",
                    (("{{provider}}", f"max by (provider) (kaskad_circuit_open{CHOSEN})"),),
                    "Red while the breaker is open.",
                    red_over=1,
                ),
            ),
        ),
        (
            "Receipts",
            (
                lines(
                    "Receipts, by state",
                    "Receipts that reported something new.",
                    (
                        "{{provider}} {{state}}",
                        f"sum by (provider, state) (rate(kaskad_receipts_total{CHOSEN}{RATE}))",
                    ),
                    unit="reqps",
                ),
                lines(
                    "Receipts of delivery for each accepted send",
                    "A fall to nothing, with sends going on, is a receipt outage.",
                    (
                        "{{provider}}",
                        (
                            'sum by (provider) (rate(kaskad_receipts_total{state="delivered",'
                            f' provider=~"$provider"}}{RATE})) / sum by (provider)'
                            ' (rate(kaskad_send_attempts_total{outcome="accepted",'
                            f' provider=~"$provider"}}{RATE}))'
                        ),
                    ),
                    unit="percentunit",
                ),
                lines(
                    "From send to receipt (median and 9 of 10)",
                    "How long to wait before moving on; compare with the waits of the policies.",
                    (
                        "{{channel}} {{state}} median",
                        quantile(0.5, "kaskad_receipt_lag_seconds", "channel, state"),
                    ),
                    (
                        "{{channel}} {{state}} 9 of 10",
                        quantile(0.9, "kaskad_receipt_lag_seconds", "channel, state"),
                    ),
                    unit="s",
                ),
                lines(
                    "Webhooks with a wrong signature",
                    "Webhooks are being forged, or a secret has changed and receipts are lost.",
                    (
                        "{{provider}}",
                        (
                            "sum by (provider)"
                            f" (rate(kaskad_webhook_signature_failures_total{CHOSEN}{RATE}))"
                        ),
                    ),
                    unit="reqps",
                    width=12,
                ),
                lines(
                    "Repeated and doubled",
                    "Unknown sends that a policy had repeated, and messages delivered on two"
                    " channels.",
                    (
                        "repeated on {{provider}}",
                        f"sum by (provider) (rate(kaskad_resends_total{CHOSEN}{RATE}))",
                    ),
                    ("delivered twice", f"sum(rate(kaskad_duplicate_deliveries_total{RATE}))"),
                    unit="mps",
                    width=12,
                ),
            ),
        ),
    ),
    variables=(("provider", "kaskad_send_attempts_total"),),
)
