"""Reports over what was counted: by policy, channel, experiment, journey, and about people."""
