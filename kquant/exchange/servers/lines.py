"""One WebSocket line of the exchange: the library's connection, with what faults do below the texts."""

from collections.abc import Callable
from typing import Any

from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from kquant.exchange.faults.verdicts import Drop

GOING_AWAY = 1001


class KisConnection(ServerConnection):
    """A connection that tells of pongs: some clients answer PINGPONG with one instead of the text (2.3).

    frozen: no byte passes either way any more, the socket stays open until the client lets go of it.   frames: how many
    texts were really sent.   mutes_pong: asked at each protocol ping whether it goes unanswered.   drop: ends the line
    once it is open.
    """

    def __init__(self, protocol: ServerProtocol, server: Server, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        self.on_pong: Callable[[], None] | None = None
        self.mutes_pong: Callable[[], bool] | None = None
        self.frozen = False
        self.frames = 0
        self.drop: Drop = ""
        send_frame = protocol.send_frame

        def filtered(frame: Frame) -> None:
            if frame.opcode is Opcode.PONG and self.mutes_pong is not None and self.mutes_pong():
                return
            send_frame(frame)

        # The library answers pings below every hook it offers; only the protocol object's own method sees the pong.
        setattr(protocol, "send_frame", filtered)  # noqa: B010

    def process_event(self, event: Any) -> None:
        """Hand the event on, after telling of a pong."""
        if self.on_pong is not None and isinstance(event, Frame) and event.opcode is Opcode.PONG:
            self.on_pong()
        super().process_event(event)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; a frozen line never sees them."""
        if not self.frozen:
            super().data_received(data)

    def send_data(self) -> None:
        """Write what the protocol has to send; a frozen line loses it."""
        if self.frozen:
            self.protocol.data_to_send()
            return
        super().send_data()

    def send_text(self, text: str) -> None:
        """Send a text without waiting for the peer, and count it unless it is lost on the way."""
        if not self.frozen:
            self.frames += 1
            broadcast((self,), text)

    def say_goodbye(self) -> None:
        """Send a close frame without waiting for its answer."""
        self.protocol.send_close(GOING_AWAY, "going away")
        self.send_data()
