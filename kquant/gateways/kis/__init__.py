"""The KIS Open API, spoken: `feed/` hears what KIS tells by itself, `rest/` asks and orders."""
