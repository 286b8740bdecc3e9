"""Everything that a user may set, as frozen pydantic models."""
