"""One file per method; each is found by its name, so there is no list to edit."""
