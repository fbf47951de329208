"""The simulated KIS exchange: REST paths, WebSocket frames and a matching engine over a market day.

It imports nothing else of kquant and is written from kis-protocol.md alone, so a client that agrees with it agrees
with the document twice. `core` has no I/O, `servers` puts it on loopback ports, `market` is what it plays.
"""
