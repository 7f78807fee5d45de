"""The documentation as a site: its sources are gathered here, for mkdocs-material."""
