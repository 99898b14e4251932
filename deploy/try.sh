#!/usr/bin/env bash
# Tries an image out: one client in it, three containers by one command, a kill, a restart and a
# node whose network is taken away. Everything is removed at the end.
#
#     deploy/build.sh && deploy/try.sh [IMAGE]
set -euo pipefail
cd "$(dirname "$0")"
export KVORUM_IMAGE=${1:-kvorum} COMPOSE_PROJECT_NAME=kvorum-try-$$
compose() { docker-compose --file compose.yaml "$@"; }
trap 'compose down --volumes --timeout 1 >/dev/null 2>&1' EXIT

say() { printf '\n== %s\n' "$*"; }
# Runs a command until it succeeds, for at most a minute.
until_ok() {
    for _ in $(seq 120); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    echo "does not succeed: $*" >&2
    "$@"
}
container() { compose ps --quiet "$1"; }
kvctl() { local node=$1; shift; docker exec "$(container "$node")" kvctl "$@"; }
is_value() { [[ $(kvctl "$1" get key) == "$2" ]]; }

say "an image of both programs"
docker run --rm "$KVORUM_IMAGE" --version
docker run --rm "$KVORUM_IMAGE" kvctl --version

say "three containers by one command are one cluster"
compose up --detach >/dev/null 2>&1
until_ok kvctl a put key 1
for node in a b c; do until_ok is_value "$node" 1; done
kvctl a status

say "one is killed, and comes back"
docker kill "$(container c)" >/dev/null
until_ok kvctl a put key 2
until_ok is_value b 2
docker start "$(container c)" >/dev/null
until_ok is_value c 2

say "one loses its network, and gets it back"
network=$(docker network ls --quiet --filter "name=${COMPOSE_PROJECT_NAME}_kvorum")
docker network disconnect "$network" "$(container b)"
until_ok kvctl a put key 3
if kvctl b --timeout 2 get key >/dev/null 2>&1; then
    echo "a node without a majority answers a read" >&2
    exit 1
fi
docker network connect "$network" "$(container b)"
until_ok is_value b 3

say "all are stopped and started again"
compose stop --timeout 30 >/dev/null 2>&1
compose start >/dev/null 2>&1
for node in a b c; do until_ok is_value "$node" 3; done
kvctl b status
say "it works"
