#!/bin/sh
# Puts the units where systemd finds them, with what they share, and as credentials the secrets that each may see.
# Run it as root, and again when a secret's file or an endpoint is new; then: systemctl restart spp.target
set -eu
units=$(dirname "$0")
. "$units/../secrets-of.sh"
to=${UNITS_DIR:-/etc/systemd/system}
secrets=${SECRETS_DIR:-/etc/spp/secrets}
cp "$units"/*.service "$units"/spp.target "$to"
for service in webhooks console worker beat; do
    unit=spp-$service
    [ "$service" != worker ] || unit=spp-worker@
    mkdir -p "$to/$unit.service.d"
    cp "$units/spp.conf" "$to/$unit.service.d"
    {
        echo "[Service]"
        for name in $(secrets_of "$service" "$secrets"); do
            echo "LoadCredential=$name:$secrets/$name"
        done
    } > "$to/$unit.service.d/secrets.conf"
done
[ "$to" != /etc/systemd/system ] || systemctl daemon-reload
