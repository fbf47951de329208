"""The vocabulary of the journal: one module a stream or subject, payload structs only, and the codec."""
