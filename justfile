# The few commands that people use. `./justw` is `just` for a machine that has only Python.

set positional-arguments := true

# Show the commands
_default:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list --unsorted

# Start a cluster: just up [local|kind|k8s] [options of `raftzmq local up` or `cluster up`]
[no-exit-message]
up *arguments: _venv
    @exec .venv/bin/raftzmq up "$@"

# Take down what is up; data stays, unless --purge: just down [--purge]
[no-exit-message]
down *options: _venv
    @exec .venv/bin/raftzmq down "$@"

# Run the tests: just test [pytest's arguments], or the acceptance run: just test kind|k8s [options]
[no-exit-message]
test *arguments: _venv
    @case "${1-}" in \
        kind|k8s) exec .venv/bin/raftzmq cluster test "$@" ;; \
    esac; \
    exec .venv/bin/python -m pytest -n auto "$@"

# Look for mistakes without changing a file: lint, format, types
[no-exit-message]
check: _venv
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy --strict

# Put lint, format and the line numbers in documents right where a machine can
fix: _venv
    .venv/bin/ruff check --fix .
    .venv/bin/ruff format .
    .venv/bin/python -m tests.documents

# Replay one simulated world exactly: just sim SEED [-v] [--plain] [--nodes N] [--faults KIND,…]
[no-exit-message]
sim seed *options: _venv
    @exec .venv/bin/python -m tests.sim run "$@"

# List the stories of Raft, or tell one: just story [NAME]
[no-exit-message]
story *name: _venv
    @exec .venv/bin/python -m tests.show story "$@"

# Write the page that plays a story, a simulated world or a recording: just show STORY|SEED|FILE.json
[no-exit-message]
show what *options: _venv
    @exec .venv/bin/python -m tests.show show "$@"

# Try many simulated worlds: just swarm [N] [--start SEED]
[no-exit-message]
swarm count="500" *options: _venv
    @shift $(( $# > 0 )); exec .venv/bin/python -m tests.sim swarm {{ count }} "$@"

# Kill real processes under load and check what clients saw: just crashes [CYCLES] [--seed S]
[no-exit-message]
crashes cycles="50" *options: _venv
    @shift $(( $# > 0 )); exec .venv/bin/python -m tests.system.crashes {{ cycles }} "$@"

# Feed mangled bytes to every decoder: just fuzz [INPUTS] [--seed S]
[no-exit-message]
fuzz inputs="100000" *options: _venv
    @shift $(( $# > 0 )); exec .venv/bin/python -m tests.fuzz {{ inputs }} "$@"

# Plant the usual bugs, one after another, and show how each is caught
[no-exit-message]
planted *options: _venv
    @exec .venv/bin/python -m tests.planted "$@"

# Measure raftzmq beside etcd and PySyncObj, twenty minutes: just bench [options, see --help]
[no-exit-message]
bench *options: _venv
    @exec .venv/bin/python -m tests.bench compare --failover 20 "$@"

# Make a release, check it, and publish nothing: just release [--trial] [--no-image] [--out DIR]
[no-exit-message]
release *options: _venv
    @exec .venv/bin/python -m tests.release "$@"

# Build the documentation as a site, into site/
docs: _venv
    .venv/bin/python -m tests.site
    .venv/bin/mkdocs build --quiet

# Show the documentation in a browser, at http://127.0.0.1:8000
docs-serve: _venv
    .venv/bin/python -m tests.site
    .venv/bin/mkdocs serve

# Draw the stories of docs/see-it.md anew
stories: _venv
    .venv/bin/python -m tests.show.diagram

# Build raftzmq/page/page.html from page/src (needs npm)
page:
    cd page && npm ci --ignore-scripts --no-audit --no-fund && npm run build

# Draw docs/demo.svg, the README's picture, from a real run
picture: _venv
    .venv/bin/python -m tests.acceptance.picture docs/demo.svg

[no-exit-message]
_venv:
    @[ -x .venv/bin/raftzmq ] || { echo "There is no .venv yet: run ./justw in place of just." >&2; exit 2; }
