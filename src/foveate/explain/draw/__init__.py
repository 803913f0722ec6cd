"""Pictures of finished measurements. Nothing here asks a model."""
