"""The chapters of a page, each a function that makes a section from a `Subject`."""
