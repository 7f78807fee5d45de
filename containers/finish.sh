#!/bin/sh
# finish.sh ENVIRONMENT: leave in a virtual environment what runs, and compile that.
set -eu
environment=$1

# Of the programs only raftzmq and python; no stubs for type checkers, no tests of others.
find "$environment/bin" -mindepth 1 ! -name 'python*' ! -name raftzmq -delete
rm -r "$environment/include"
find "$environment" -name '*.pyi' -delete
find "$environment/lib" -type d \( -name tests -o -name test \) -prune -exec rm -r {} +

# Compiled files that are never compared with their sources: those do not change in an image, and
# dates, which would be compared otherwise, may be lost on the way into one.
# Not the languages that rich could colour, of which none is used: they would be a tenth of the whole.
"$environment/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x '/pygments/(lexers|styles|formatters)/' "$environment/lib"
