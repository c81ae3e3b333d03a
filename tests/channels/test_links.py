"""What templates may link to is what adapters make links for."""

from __future__ import annotations

from orchestrator.channels import Adapter
from orchestrator.channels.registry import adapters_available, channels


def test_the_channels_that_can_be_linked_are_those_whose_adapters_make_links() -> None:
    made = {
        one.supports.channel
        for one in adapters_available().values()
        if one.link is not Adapter.link
    }
    assert made == {name for name, one in channels().items() if one.linkable}
