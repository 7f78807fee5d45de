"""Write the sources of the site, for mkdocs: `just docs`, `just docs-serve`.

python -m tests.site
"""

from __future__ import annotations

from tests.site.sources import write_sources

write_sources()
