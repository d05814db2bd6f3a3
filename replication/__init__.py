"""Copies collections between MongoDB clusters, and owns the shared MongoDB client."""
