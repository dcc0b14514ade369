#!/bin/bash
# Backup and restore tried for real: pg_dump, and a base backup with the WAL after it, restored to a moment before a mistake.
# The commands are those of docs/operations.md. Needs PostgreSQL's server programs (PGBIN) and `spp`; as root it becomes `postgres`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PGBIN=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin | tail -1)}
SPP=${SPP:-$PWD/.venv/bin/spp}
site=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
[ "$(id -u)" != 0 ] || chown postgres "$site"
server() { as "$PGBIN/pg_ctl" -w -D "$1" -l "$site/log" -o "-k $site -c listen_addresses=''" "$2" > /dev/null; }
ask() { as "$PGBIN/psql" -h "$site" -XAtq "$@"; }
ledger() { ask -d "$1" -c "SELECT count(*), md5(string_agg(e::text, '|' ORDER BY id)) FROM ledger_entries e" \
    -c "SELECT count(*), md5(string_agg(e::text, '|' ORDER BY id)) FROM webhook_events e"; }
require() { [ "$1" = "$2" ] || { echo "NOT PROVEN: $3: $1 / $2"; exit 1; }; echo "  ok  $3"; }
trap 'as "$PGBIN/pg_ctl" -D "$site/data" -m immediate stop > /dev/null 2>&1; as "$PGBIN/pg_ctl" -D "$site/restored" -m immediate stop > /dev/null 2>&1; rm -rf "$site"' EXIT

as "$PGBIN/initdb" -D "$site/data" --auth=trust > "$site/initdb.log"
as mkdir "$site/wal" "$site/base"
server "$site/data" start
sed "s,/backup,$site,g" "$here/../archive.sql" | ask -d postgres
server "$site/data" restart
ask -d postgres -c "CREATE DATABASE spp"
chmod 755 "$site"
export DATABASE_URL="postgresql://postgres@/spp?host=$site" SPP_DATA="$site/home"
unset SPP_LOG_LEVEL SPP_ENDPOINTS SPP_SECRETS_DIR BROKER_URL
run() { "$SPP" "$@" > "$site/spp.log" 2>&1 || { cat "$site/spp.log"; exit 1; }; }
# `spp up` on this database: webhooks are received and credited as they are anywhere.
up() { "$SPP" up --data "$SPP_DATA" --port 0 --console-port 0 > "$site/up.log" 2>&1 & pid=$!
    until grep -q Running "$site/up.log"; do sleep 0.2; kill -0 $pid || { cat "$site/up.log"; exit 1; }; done; }
down() { kill -TERM $pid; wait $pid || true; }
# The NUMBERth payment of a member's dues; the same each time it is delivered.
pay() { python3 -c "
import time; from local.stripe_bodies import event, invoice; at = $began + $1
print(event('evt_$1', 'invoice.paid', at, invoice('in_$1', 'sub_ann', at)).decode())" > "$site/event.json"
    run send stripe "$site/event.json"
    for _ in $(seq 100); do [ "$(grants "$1")" != 0 ] && return; sleep 0.1; done; echo "NOT PROVEN: payment $1 is not credited"; exit 1; }
grants() { ask -d spp -c "SELECT count(*) FROM credit_grants g JOIN payments p ON p.id = g.payment_id WHERE p.reference = 'in_$1'"; }
began=$(date +%s)
run migrate
run demo-data
up
pay 1

echo "pg_dump"
as "$PGBIN/pg_dump" -h "$site" -Fc -d spp -f "$site/spp.dump"
ask -d postgres -c "CREATE DATABASE spp_restored"
as "$PGBIN/pg_restore" -h "$site" -d spp_restored --exit-on-error "$site/spp.dump"
require "$(ledger spp)" "$(ledger spp_restored)" "the restored dump has the same events and entries to the last byte"
DATABASE_URL="postgresql://postgres@/spp_restored?host=$site" run audit
echo "  ok  \`spp audit\` finds nothing wrong in it"

echo "Point in time"
as "$PGBIN/pg_basebackup" -h "$site" -D "$site/base/1" --checkpoint=fast
pay 2
before=$(ledger spp)
moment=$(ask -d spp -c "SELECT clock_timestamp()")
sleep 1
pay 3
down
ask -d spp -c "ALTER TABLE billing_references DISABLE TRIGGER ALL" -c "DELETE FROM billing_references"
ask -d spp -c "SELECT pg_switch_wal()" > /dev/null
server "$site/data" stop
as cp -a "$site/base/1" "$site/restored"
as tee -a "$site/restored/postgresql.auto.conf" > /dev/null <<CONF
restore_command = 'cp $site/wal/%f %p'
recovery_target_time = '$moment'
recovery_target_action = promote
CONF
as touch "$site/restored/recovery.signal"
server "$site/restored" start
until [ "$(ask -d spp -c 'SELECT pg_is_in_recovery()')" = f ]; do sleep 0.2; done
require "$(ledger spp)" "$before" "restored to the moment before the mistake"
require "$(grants 1) $(grants 2) $(grants 3)" "2 2 0" "what came after the base backup is there; what came after that moment is not"
up
pay 3
pay 2
down
require "$(grants 2) $(grants 3)" "2 2" "delivered again, what was lost is credited, and what was not is not credited twice"
run audit
echo "  ok  \`spp audit\` finds nothing wrong in it"
echo "Proven."
