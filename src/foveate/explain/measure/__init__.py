"""Arrays and numbers: what was found out, and what follows from it without asking a model. It draws nothing."""
