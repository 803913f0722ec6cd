"""What a network costs, sees and drops, and how to fix it: functions over its nodes, below `Graph`."""
