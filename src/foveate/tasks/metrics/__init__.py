"""Numbers that say how good a network is, each accumulated batch by batch."""
