"""The exchange on loopback ports: REST, WebSocket, admin port, durable ledger, process life."""
