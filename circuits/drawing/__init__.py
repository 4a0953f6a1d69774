"""Pictures: cell arrays, error heat maps, and figures as files."""
