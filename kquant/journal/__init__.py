"""The durable log of a day: events, tape, attachments."""
