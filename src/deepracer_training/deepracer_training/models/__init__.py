"""Model folders: what a model is made of, and where it lives on disk."""
