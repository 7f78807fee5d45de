"""What a node sends to its peers, and what it does about those that do not answer: a new link, a
look at the name, and a look at the handshake."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from raftzmq.access.keys import KeyPair, PublicKey
from raftzmq.core.membership import Membership
from raftzmq.core.messages import Message
from raftzmq.node import Node
from raftzmq.server.detours import Detours
from raftzmq.server.link_inspection import LinkInspection
from raftzmq.server.name_lookup import NameLookup
from raftzmq.server.silence import Silence
from raftzmq.transport.greeting_links import GreetingLinks
from raftzmq.transport.links import PeerLinks
from raftzmq.transport.options import Context
from raftzmq.transport.peer_wire import (
    Envelope,
    Hello,
    PeerMessage,
    Welcome,
    encode_hello,
    encode_message,
    encode_welcome,
)


class Peers:
    """The links to the other nodes. `node` is set once there is one; times in milliseconds."""

    node: Node

    def __init__(self, context: Context) -> None:
        self.links = PeerLinks(context)
        self._greeting_links = GreetingLinks(context)
        self._inspection = LinkInspection(self.links)
        self._silence = Silence()
        self._detours = Detours(self.links)
        self._name_lookup = NameLookup()
        self._linked: Membership | None = None  # whose members have links
        self.silent: dict[str, str] = {}
        """The peers that do not answer, name -> address."""

    def close(self) -> None:
        """Close the links, and let the threads end."""
        self._inspection.close()
        self._name_lookup.close()
        self._greeting_links.close()
        self.links.close()

    def use_keys(self, own: KeyPair, accepted: Sequence[PublicKey]) -> None:
        """As `PeerLinks.use_keys`, for all links."""
        self.links.use_keys(own, accepted)
        self._greeting_links.use_keys(own, accepted)

    def send(self, address: str, cluster: str, message: Message, now_ms: int) -> bool:
        """Hand a message over for a peer at HOST:PORT, or return False at once."""
        name = message.to.name
        self.links.set_address(name, address)
        self._silence.sent(name, message, now_ms)
        return self.links.send(name, encode_message(message, cluster))

    def greet(self, name: str, address: str, greeting: Hello | Welcome, now_ms: int) -> None:
        """Send a greeting to whoever uses a name at an address."""
        encode = encode_hello(greeting) if isinstance(greeting, Hello) else encode_welcome(greeting)
        if self.node.address_of(name) != address:
            # Whoever that is, it may use the name of a peer. The peer's link stays what it is.
            self._greeting_links.send(address, encode, now_ms)
            return
        self._silence.sent(name, greeting, now_ms)
        self.links.set_address(name, address)
        self.links.send(name, encode)

    def answered(self, name: str) -> None:
        """A peer has answered something."""
        self._silence.answered(name)

    @property
    def wants_addresses(self) -> bool:
        """Whether to tell `spoke` where messages come from."""
        return bool(self._detours.lost)

    def spoke(self, received: PeerMessage, address: str, now_ms: int) -> None:
        """A message has come from this IP address. It counts if it is a member's."""
        if isinstance(received, Envelope):
            node, sender = self.node, received.message.sender
            if received.cluster == node.cluster and sender in node.raft.memberships.ids:
                self._detours.spoke(sender.name, address, now_ms)

    def open_links(self) -> None:
        """Connect to every member before there is a message for it. A message needs an established
        connection, so the first one would be lost. After a restart a follower speaks only to the
        leader. When the leader dies, its requests for votes would never reach the others."""
        membership = self.node.raft.membership
        if membership is self._linked:
            return
        self._linked = membership
        for name in {*self.node.initial, *(m.id.name for m in membership)} - {self.node.name}:
            if (address := self.node.address_of(name)) is not None:
                self.links.set_address(name, address)

    def maintain(self, now_ms: int, say_silent: Callable[[dict[str, str]], None]) -> None:
        """Renew the links of silent peers, and find out why they are silent."""
        self._greeting_links.turn(now_ms)
        for name in self._silence.overdue(now_ms):
            if not self._detours.keeps(name, now_ms):
                self.links.renew(name)
        self._detours.turn(self.node.peers, now_ms)
        self._name_lookup.check()
        self._silence.forget_all_but(self.node.peers)
        self.silent = {
            name: address
            for name in self._silence.names
            if (address := self.node.address_of(name)) is not None
        }
        self._name_lookup.silent = self.silent
        self.node.unresolved = self._name_lookup.unresolved
        self.node.refusing = self._inspection.look(self.node.peers, now_ms)
        say_silent(self.silent)
