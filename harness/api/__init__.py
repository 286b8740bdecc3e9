"""L7: one file per public verb."""
