#!/usr/bin/env bash
# An MLflow server over PostgreSQL, to which many launches may log at once. To use it:
#   1. createuser --pwprompt symbench && createdb --owner=symbench symbench        # and the password into ~/.pgpass
#   2. DATABASE=postgresql://symbench@127.0.0.1/symbench ray_configs/mlflow/server.sh
#   3. export MLFLOW_TRACKING_URI=http://127.0.0.1:5000      # where symbench runs; in env_vars of --runtime-env for a job
#   4. symbench run quick                                    # and symbench sync for what was logged while it was away
#   5. From other machines: ssh -L 5000:127.0.0.1:5000 HOST; or HOST=0.0.0.0 ALLOWED_HOSTS=NAME:5000 behind a TLS proxy.
#
# It listens on loopback alone unless HOST says otherwise, and knows no users: whoever reaches the port may read, write
# and delete. PORT, WORKERS (processes) and ARTIFACTS (a folder, or s3://..., through the server) change what they name.
set -euo pipefail

: "${DATABASE:?such as postgresql://symbench@127.0.0.1/symbench, without a password}"
host=${HOST:-127.0.0.1} port=${PORT:-5000} workers=${WORKERS:-4}
artifacts=${ARTIFACTS:-$HOME/.local/share/symbench/mlflow-artifacts}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
[ -d "$root/.venv/bin" ] && PATH=$root/.venv/bin:$PATH

case $DATABASE in
    postgresql://*:*@*) echo "DATABASE holds a password: put it into ~/.pgpass (or PGPASSFILE) instead." >&2 && exit 2 ;;
    postgresql://*) ;;
    *) echo "DATABASE is no address of PostgreSQL: write postgresql://USER@HOST/NAME." >&2 && exit 2 ;;
esac
case $artifacts in *://*) ;; *) mkdir -p "$artifacts" ;; esac

# In the environment rather than on the command line, which every user of the machine can read.
export MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://${DATABASE#postgresql://}
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_DISABLE_TELEMETRY=true
exec mlflow server --host "$host" --port "$port" --workers "$workers" --artifacts-destination "$artifacts" \
    --allowed-hosts "${ALLOWED_HOSTS:-localhost:*,127.0.0.1:*}" ${CORS_ORIGINS:+--cors-allowed-origins "$CORS_ORIGINS"}
