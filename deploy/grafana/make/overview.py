"""
Kaskad / Overview: how many were reached, over which channel, how soon, for how much, and why not.
"""

from deploy.grafana.make.panels import RANGE, RATE, Dashboard, bars, lines, quantile, stat

FINISHED, REACHED = (
    "kaskad_messages_finished_total",
    'kaskad_messages_finished_total{status="succeeded"}',
)

OVERVIEW = Dashboard(
    "kaskad-overview",
    "Kaskad / Overview",
    (
        (
            "In this time range",
            (
                stat(
                    "Messages started",
                    f"sum(increase(kaskad_messages_accepted_total{RANGE}))",
                    "One for each recipient and policy.",
                ),
                stat(
                    "Reached", f"sum(increase({REACHED}{RANGE}))", "Messages that ended in success."
                ),
                stat(
                    "Share reached",
                    f"sum(increase({REACHED}{RANGE})) / sum(increase({FINISHED}{RANGE}))",
                    "Of the messages that ended.",
                    "percentunit",
                ),
                stat(
                    "Cost",
                    f"sum(increase(kaskad_cost_total{RANGE}))",
                    "In the installation's one currency.",
                ),
                stat(
                    "Cost of one reached",
                    f"sum(increase(kaskad_cost_total{RANGE})) / sum(increase({REACHED}{RANGE}))",
                    "What was spent, over those who were reached.",
                ),
                stat(
                    "Unknown outcomes",
                    f"sum(increase(kaskad_unknown_outcomes_total{RANGE}))"
                    f" / sum(increase(kaskad_send_attempts_total{RANGE}))",
                    "Share of calls that may or may not have sent.",
                    "percentunit",
                    red_over=0.02,
                ),
            ),
        ),
        (
            "How many",
            (
                lines(
                    "Started, by policy",
                    "Which policies are at work.",
                    ("{{policy}}", f"sum by (policy) (rate(kaskad_messages_accepted_total{RATE}))"),
                    unit="mps",
                    stacked=True,
                ),
                lines(
                    "Ended, by status",
                    "succeeded is the aim; expired and exhausted are what to look into.",
                    ("{{status}}", f"sum by (status) (rate({FINISHED}{RATE}))"),
                    unit="mps",
                    stacked=True,
                ),
                lines(
                    "Share reached, by class",
                    "A drop means that a channel stopped working.",
                    (
                        "{{class}}",
                        (
                            f"sum by (class) (rate({REACHED}{RATE})) / sum by (class)"
                            f" (rate({FINISHED}{RATE}))"
                        ),
                    ),
                    unit="percentunit",
                ),
            ),
        ),
        (
            "Over which channel, how soon, for how much",
            (
                lines(
                    "Reached, by channel",
                    "The channel that made each message a success.",
                    ("{{channel}}", f"sum by (channel) (rate(kaskad_reach_seconds_count{RATE}))"),
                    unit="mps",
                    stacked=True,
                ),
                lines(
                    "Time to reach (median and 9 of 10)",
                    "From acceptance to success, waits between steps included.",
                    ("{{class}} median", quantile(0.5, "kaskad_reach_seconds", "class")),
                    ("{{class}} 9 of 10", quantile(0.9, "kaskad_reach_seconds", "class")),
                    unit="s",
                ),
                lines(
                    "Cost an hour, by channel",
                    "What providers took, or may have taken.",
                    (
                        "{{channel}} {{currency}}",
                        "sum by (channel, currency) (rate(kaskad_cost_total[1h])) * 3600",
                    ),
                    stacked=True,
                ),
            ),
        ),
        (
            "Why not",
            (
                bars(
                    "Why steps were left for the next one",
                    "{{from_channel}}: {{reason}}",
                    f"sum by (from_channel, reason) (increase(kaskad_fallbacks_total{RANGE}))",
                    "The reasons are explained in docs/reasons.md.",
                ),
                bars(
                    "Which checks said no",
                    "{{gate}} {{verdict}}: {{reason}}",
                    f"sum by (gate, verdict, reason) (increase(kaskad_skipped_total{RANGE}))",
                    "Consent, quiet hours, caps and the others, in the order in which they are"
                    " asked.",
                ),
                bars(
                    "How messages ended without success",
                    "{{status}}: {{reason}}",
                    f'sum by (status, reason) (increase({FINISHED}{{status!="succeeded"}}{RANGE}))',
                    "The decisive reason of each message.",
                ),
                bars(
                    "Opt-outs",
                    "{{channel}} by {{source}}",
                    f"sum by (channel, source) (increase(kaskad_optouts_total{RANGE}))",
                    "Where people said no, and how.",
                ),
            ),
        ),
    ),
    since="now-24h",
)
