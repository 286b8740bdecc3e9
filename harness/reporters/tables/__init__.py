"""Tables from records, one file each."""
