"""Every query over cost data."""
