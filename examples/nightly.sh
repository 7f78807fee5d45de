#!/bin/sh
# A cron job that is due on several machines and must run once a night.
#
#     0 3 * * *  root  RAFTZMQ_ENDPOINTS=... /usr/local/bin/nightly.sh /usr/local/bin/report
#
# The lock lets one machine in at a time, and the key says that tonight's run is done. If the
# machine dies in the middle, the next in line runs it again. If it only slept, and another has the
# lock by now, the fence refuses its key, and this exits with 4.
set -eu

NIGHT=${NIGHT:-$(date +%F)}
export NIGHT

exec raftzmq client lock nightly --ttl 30 --timeout 3600 -- sh -euc '
    found=0
    raftzmq client get "nightly/$NIGHT" --fail-missing >/dev/null 2>&1 || found=$?
    case $found in
        0) exit 0 ;;           # another machine has done it
        1) ;;                  # nobody has
        *) exit "$found" ;;    # nobody can tell: do not run it
    esac
    "$@"
    raftzmq client put "nightly/$NIGHT" "$(hostname)" --ttl 86400 \
        --fence "$RAFTZMQ_LOCK_NAME:$RAFTZMQ_LOCK_TOKEN" >/dev/null
' nightly "$@"
