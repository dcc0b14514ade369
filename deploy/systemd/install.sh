#!/bin/sh
# Puts the units where systemd finds them, with what they share and one credential for each file in /etc/spp/secrets.
# Run it as root, and again when a secret's file or an endpoint is new; then: systemctl restart spp.target
set -eu
units=$(dirname "$0")
to=${UNITS_DIR:-/etc/systemd/system}
secrets=${SECRETS_DIR:-/etc/spp/secrets}
cp "$units"/*.service "$units"/spp.target "$to"
for unit in spp-webhooks spp-console spp-worker@ spp-beat; do
    mkdir -p "$to/$unit.service.d"
    cp "$units/spp.conf" "$to/$unit.service.d"
    {
        echo "[Service]"
        for file in "$secrets"/*; do
            echo "LoadCredential=$(basename "$file"):$file"
        done
    } > "$to/$unit.service.d/secrets.conf"
done
[ "$to" != /etc/systemd/system ] || systemctl daemon-reload
