#!/usr/bin/env bash
# A Ray cluster on this machine, a head and some workers, for as long as this command runs. To use it:
#   1. ray_configs/clusters/local.sh 2 1                # two workers of one CPU each; leave it running
#   2. export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=~/.cache/symbench/cluster/token    # in another terminal
#   3. symbench submit quick --address http://127.0.0.1:8265 --store "$PWD/results/store" --follow
#   4. symbench jobs --address http://127.0.0.1:8265    # ... stop ID, logs ID --follow
#   5. Ctrl-C here ends the cluster and nothing else (ray stop would end every Ray of this machine).
#
# The dashboard listens on loopback alone. Ray's own ports listen on every interface, whatever is set: the token
# guards them. PORT, DASHBOARD_PORT and SYMBENCH_CLUSTER (the folder of token and logs) change what they name.
set -euo pipefail

workers=${1:-2} cpus=${2:-1}
port=${PORT:-6379} dashboard=${DASHBOARD_PORT:-8265}
folder=${SYMBENCH_CLUSTER:-$HOME/.cache/symbench/cluster}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ -d "$root/.venv/bin" ] && PATH=$root/.venv/bin:$PATH

mkdir -p "$folder"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$folder/token
export RAY_USAGE_STATS_ENABLED=0 RAY_task_oom_retries=1
token() { python3 -c 'import secrets; print(secrets.token_hex(32), end="")'; }
[ -s "$folder/token" ] || (umask 077 && token > "$folder/token")

sessions=$(mktemp -d /tmp/sb-XXXXXX) # short, since Ray puts Unix sockets below it
nodes=()
leave() {
    trap - EXIT INT TERM
    for node in "${nodes[@]}"; do kill -TERM -- "-$node" 2>/dev/null || true; done
    for _ in {1..50}; do
        alive=0
        for node in "${nodes[@]}"; do kill -0 -- "-$node" 2>/dev/null && alive=1; done
        [ $alive = 0 ] && break
        sleep 0.2
    done
    for node in "${nodes[@]}"; do kill -KILL -- "-$node" 2>/dev/null || true; done
    rm -rf "$sessions"
}
trap leave EXIT
trap 'exit 0' INT TERM

# Each node has a folder of its own, as on a machine of its own: in a shared one nodes replace each other's copy of the
# code under a job that runs.
start() {
    local name=$1
    shift
    : > "$folder/$name.log"
    setsid ray start --block --disable-usage-stats --object-store-memory=134217728 --temp-dir="$sessions/$name" "$@" \
        > "$folder/$name.log" 2>&1 &
    nodes+=($!)
    for _ in {1..300}; do
        grep -q 'Ray runtime started' "$folder/$name.log" && return
        kill -0 $! 2>/dev/null || break
        sleep 0.2
    done
    echo "Node $name did not start: see $folder/$name.log" >&2
    exit 1
}

start head --head --port="$port" --num-cpus=0 --num-gpus=0 \
    --include-dashboard=true --dashboard-host=127.0.0.1 --dashboard-port="$dashboard"
for ((i = 1; i <= workers; i++)); do
    start "$i" --address="127.0.0.1:$port" --num-cpus="$cpus"
done
echo "A head and $workers workers of $cpus CPUs: --address http://127.0.0.1:$dashboard, token in $folder/token"
wait -n "${nodes[@]}" || true
echo "A node has ended: see the logs in $folder" >&2
exit 1
