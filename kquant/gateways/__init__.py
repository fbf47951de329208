"""Everything that touches the world. Gateways act on recorded requests and answer only with events."""
