"""Kaskad / Operations: store, timers, backlog, intake and processes."""

from deploy.grafana.make.panels import RANGE, RATE, Dashboard, lines, quantile, stat

ON = '{instance=~"$instance"}'

OPERATIONS = Dashboard(
    "kaskad-operations",
    "Kaskad / Operations",
    (
        (
            "Now",
            (
                stat(
                    "Processes", "count(kaskad_build_info)", "Processes that answer.", red_under=1
                ),
                stat(
                    "Releases",
                    "count(count by (version) (kaskad_build_info))",
                    "More than one only while upgrading.",
                    red_over=2,
                ),
                stat(
                    "Configurations refused",
                    "count(kaskad_config_last_reload_successful == 0) or vector(0)",
                    "Processes that keep an older configuration, because the new one is wrong.",
                    red_over=1,
                ),
                stat(
                    "Without a store",
                    "sum(1 - kaskad_store_up)",
                    "Processes that cannot reach the store.",
                    red_over=1,
                ),
                stat("Waiting", "sum(kaskad_queue_depth)", "Steps in the backlog of a provider."),
                stat(
                    "Dead letters",
                    f"sum(increase(kaskad_dead_letters_total{RANGE})) or vector(0)",
                    "Events that could not be processed, in this time range.",
                    red_over=1,
                ),
            ),
        ),
        (
            "Store and engine",
            (
                lines(
                    "How long a commit takes (median, 19 of 20, 99 of 100)",
                    "Every command waits for its commit.",
                    (
                        "{{instance}} median",
                        quantile(0.5, "kaskad_engine_commit_seconds", "instance", ON),
                    ),
                    (
                        "{{instance}} 19 of 20",
                        quantile(0.95, "kaskad_engine_commit_seconds", "instance", ON),
                    ),
                    (
                        "{{instance}} 99 of 100",
                        quantile(0.99, "kaskad_engine_commit_seconds", "instance", ON),
                    ),
                    unit="s",
                    red_over=0.25,
                ),
                lines(
                    "Commits a second",
                    "Batches, not commands.",
                    (
                        "{{instance}}",
                        f"sum by (instance) (rate(kaskad_engine_commit_seconds_count{ON}{RATE}))",
                    ),
                ),
                lines(
                    "Commands in a commit",
                    "Batches grow under load.",
                    (
                        "{{instance}}",
                        f"sum by (instance) (rate(kaskad_engine_batch_size_sum{ON}{RATE}))"
                        f" / sum by (instance) (rate(kaskad_engine_batch_size_count{ON}{RATE}))",
                    ),
                ),
                lines(
                    "How late timers fire (median, 19 of 20)",
                    "Late timers mean that the process or the store is overloaded.",
                    (
                        "{{instance}} median",
                        quantile(0.5, "kaskad_timer_lateness_seconds", "instance", ON),
                    ),
                    (
                        "{{instance}} 19 of 20",
                        quantile(0.95, "kaskad_timer_lateness_seconds", "instance", ON),
                    ),
                    unit="s",
                    red_over=5,
                    width=12,
                ),
                lines(
                    "Timers a second",
                    "Waits that ended, deferrals that came due.",
                    (
                        "{{instance}}",
                        f"sum by (instance) (rate(kaskad_timer_lateness_seconds_count{ON}{RATE}))",
                    ),
                    width=12,
                ),
            ),
        ),
        (
            "Backlog",
            (
                lines(
                    "Backlog, by class",
                    "One-time codes go first, then transactional, service, promotional.",
                    ("{{class}}", "sum by (class) (kaskad_queue_depth)"),
                    stacked=True,
                ),
                lines(
                    "Kafka: records still to come",
                    "By partition; it falls to nothing between bursts.",
                    (
                        "{{topic}} {{partition}}",
                        "max by (topic, partition) (kaskad_kafka_consumer_lag)",
                    ),
                ),
                lines(
                    "Held, by reason",
                    "Quiet hours, caps, budgets, receipt outages.",
                    (
                        "{{channel}}: {{reason}}",
                        f"sum by (channel, reason) (rate(kaskad_held_total{RATE}))",
                    ),
                    unit="mps",
                ),
            ),
        ),
        (
            "What comes in",
            (
                lines(
                    "Events, by source and status",
                    "duplicate is harmless; refused has a reason for the publisher.",
                    (
                        "{{source}} {{status}}",
                        f"sum by (source, status) (rate(kaskad_events_total{RATE}))",
                    ),
                    unit="eps",
                    width=12,
                ),
                lines(
                    "Dead letters, by reason",
                    "kaskad dlq list shows them.",
                    ("{{reason}}", f"sum by (reason) (increase(kaskad_dead_letters_total{RATE}))"),
                    width=12,
                ),
                lines(
                    "Parts of recipients that were left out, by source and field",
                    "Unreadable addresses and the like: the rest of the event was accepted.",
                    (
                        "{{source}} {{field}}",
                        f"sum by (source, field) (increase(kaskad_event_warnings_total{RATE}))",
                    ),
                    width=12,
                ),
                lines(
                    "Kafka errors",
                    "Errors by kind; one or two around a rebalance are normal.",
                    (
                        "{{error}}",
                        f"sum by (error) (increase(kaskad_kafka_errors_total{RATE}))",
                    ),
                    ("processes in the group", "sum(kaskad_kafka_connected)"),
                    width=12,
                ),
                lines(
                    "Conditions that could not be evaluated, by policy",
                    "They count as false; kaskad explain says which.",
                    (
                        "{{policy}}",
                        f"sum by (policy) (increase(kaskad_condition_errors_total{RATE}))",
                    ),
                    width=12,
                ),
                lines(
                    "Content that could not be made",
                    "A variable is missing or a template is wrong; kaskad messages retry sends"
                    " what was suppressed once it is mended.",
                    (
                        "{{policy}} {{channel}}: {{reason}}",
                        "sum by (policy, channel, reason)"
                        f" (increase(kaskad_content_failures_total{RATE}))",
                    ),
                    width=12,
                ),
            ),
        ),
        (
            "What goes out",
            (
                lines(
                    "Status events that wait, by sink",
                    "They wait in order; after a week they are dropped.",
                    ("{{sink}}", "sum by (sink) (kaskad_status_backlog)"),
                ),
                lines(
                    "Tries in which a sink took no status event",
                    "The log says why (statuses.…).",
                    (
                        "{{sink}}",
                        f"sum by (sink) (increase(kaskad_status_failures_total{RATE}))",
                    ),
                ),
                lines(
                    "Sends whose outcome stays unknown",
                    "kaskad unknown list shows them; counted every five minutes.",
                    ("unknown", "max(kaskad_unknown_unresolved)"),
                ),
            ),
        ),
        (
            "Processes",
            (
                lines(
                    "CPU",
                    "One process uses one core at most.",
                    (
                        "{{instance}}",
                        f"sum by (instance) (rate(kaskad_process_cpu_seconds_total{ON}{RATE}))",
                    ),
                    unit="percentunit",
                    red_over=0.9,
                ),
                lines(
                    "Memory",
                    "It does not grow with the backlog, which is in the store.",
                    (
                        "{{instance}}",
                        f"sum by (instance) (kaskad_process_resident_memory_bytes{ON})",
                    ),
                    unit="bytes",
                ),
                lines(
                    "Files and sockets open",
                    "As a share of what the process may have.",
                    ("{{instance}}", f"kaskad_process_open_fds{ON} / kaskad_process_max_fds{ON}"),
                    unit="percentunit",
                    red_over=0.8,
                ),
                lines(
                    "Spans of traces, taken and dropped",
                    "Nothing without `telemetry.traces`. Dropped: the collector is slow or away.",
                    ("taken", f"sum(rate(kaskad_trace_spans_total{RATE}))"),
                    (
                        "{{cause}}",
                        f"sum by (cause) (rate(kaskad_trace_spans_dropped_total{RATE}))",
                    ),
                ),
            ),
        ),
        (
            "Journeys",
            (
                lines(
                    "Journeys that run",
                    "Of all processes; a journey is counted up to 100 000.",
                    ("{{journey}}", "max by (journey) (kaskad_journeys_running)"),
                ),
                lines(
                    "Journeys entered",
                    "If none is while events come, none is of its type, or `when` is false.",
                    (
                        "{{journey}}",
                        f"sum by (journey) (rate(kaskad_journeys_entered_total{RATE}))",
                    ),
                ),
                lines(
                    "Journeys ended, by status",
                    "`failed` names a policy that is not configured any more.",
                    (
                        "{{journey}} {{status}}",
                        f"sum by (journey, status) (rate(kaskad_journeys_ended_total{RATE}))",
                    ),
                ),
            ),
        ),
    ),
    variables=(("instance", "kaskad_build_info"),),
)
