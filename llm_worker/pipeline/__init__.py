"""The seam between rows and cores: rows become plain data, go through a core, become rows."""
