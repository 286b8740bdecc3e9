"""Jobs as Ray tasks: join a cluster or start one, what fits it, what the workers report, what was lost."""
