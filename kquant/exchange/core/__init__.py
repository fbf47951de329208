"""The exchange without I/O: wire tables, sessions, REST answers, ledger and matching."""
