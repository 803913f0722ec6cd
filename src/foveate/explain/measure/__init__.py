"""Arrays and numbers: results, and what follows from them without querying a model. Nothing is drawn here."""
