"""Figures of finished measurements. Nothing here queries a model."""
