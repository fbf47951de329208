"""The KIS Open API: wire tables, sans-I/O session, REST client, order gateway."""
