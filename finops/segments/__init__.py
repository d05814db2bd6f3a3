"""Segments: Parquet files derived from the destination's cost documents, by charge day."""
