"""What a node must not forget: its log, term and vote, snapshots. See DESIGN.md."""

from raftzmq.storage.config import StorageConfig
from raftzmq.storage.files import Files, OsFiles
from raftzmq.storage.memory import MemoryFiles, MemoryStorage
from raftzmq.storage.snapshot_writer import SnapshotWriter
from raftzmq.storage.storage import Restored, Storage

__all__ = [
    "Files",
    "MemoryFiles",
    "MemoryStorage",
    "OsFiles",
    "Restored",
    "SnapshotWriter",
    "Storage",
    "StorageConfig",
]
