"""
What a policy would do, before it does it to anybody: its unit tests, and its simulation over a file of events.

    installation   the configuration, without needing its secrets
    world          the real engine, dispatcher, timers and store in virtual time; only the providers are played
    played         the adapter that plays a provider

    kaskad test        testfile ─► given, expected ─► trial ─► verdict ─► testreport
    kaskad simulate    traffic, crowd (habits written or fitted) ─► performance on the quick stage ─► tally ─► findings
"""
