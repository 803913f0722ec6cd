"""Pictures of a model: each asks it (`probe`), and hands what it says to `draw`."""
