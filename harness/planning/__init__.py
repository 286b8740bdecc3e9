"""L5: from a request to a plan of jobs."""
