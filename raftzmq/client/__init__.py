"""The clients: a pure session under two shells, blocking and asyncio. See DESIGN.md."""
