"""Looks at a connection step by step, and says of each failure why it is and what mends it."""
