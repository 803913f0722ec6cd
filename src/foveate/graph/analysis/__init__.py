"""What a network costs, sees and drops, and how to mend it: functions over its nodes, below `Graph`."""
