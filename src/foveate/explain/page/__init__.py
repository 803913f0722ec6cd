"""The page of a model, and what pages are made of: sections, figures, tables."""
