"""Reference data of the look-alike: calendar, news, products, statements, master files. Source: kis-protocol.md 4.7, 4.8."""
