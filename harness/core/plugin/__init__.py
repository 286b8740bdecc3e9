"""The contract of a method plugin: `Method`, `Task`, `DistilledSet`, and how plugins are found."""
