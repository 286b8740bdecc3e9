"""L4: what each kind of job does."""
