"""A chat: rooms with the newest messages, each with its number and the time at which it came."""

from typing import TypedDict

from raftzmq.state_machine import Rejected, StateMachine, query, replicated

KEPT = 100


class Message(TypedDict):
    number: int
    author: str
    text: str
    time_ms: int


class Chat(StateMachine, name="chat"):
    def __init__(self) -> None:
        self.rooms: dict[str, list[Message]] = {}
        self.said = 0

    @replicated
    def say(self, room: str, author: str, text: str) -> int:
        """Say something; return the number of the message."""
        if not text.strip():
            raise Rejected("a message needs some text")
        self.said += 1
        messages = self.rooms.setdefault(room, [])
        messages.append(
            {"number": self.said, "author": author, "text": text, "time_ms": self.time_ms}
        )
        del messages[:-KEPT]
        return self.said

    @query
    def since(self, room: str, number: int = 0) -> list[Message]:
        """What was said after the message of that number."""
        return [message for message in self.rooms.get(room, []) if message["number"] > number]
