"""kquant: watches and trades the Korean stock market through the KIS Open API."""
