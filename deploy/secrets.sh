#!/bin/sh
# Makes the folder of secrets (./secrets, or the one named) and whatever of it is random; what is there already stays.
# Beside the secrets, .SERVICE has copies of those that the service may see: its container sees no others. Run it again
# when one has changed. It runs as root, so that the containers' user (10001) can read them and no other user of this
# machine can.
set -eu
folder=${1:-secrets}
. "$(dirname "$0")/secrets-of.sh"
random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
user=${SPP_UID:-10001}
umask 077
mkdir -p "$folder"
for name in postgres.password postgres.web.password postgres.worker.password postgres.console.password broker.password \
    console.secret metrics.token grafana.password; do
    [ -s "$folder/$name" ] || random > "$folder/$name"
done
for service in migrate webhooks console worker beat; do
    own=$folder/.$service
    mkdir -p "$own"
    for name in $(secrets_of "$service" "$folder"); do
        # Never half of one, nor one that its service cannot read: it takes the place of the old one at once.
        cmp -s "$folder/$name" "$own/$name" && continue
        cp "$folder/$name" "$own/.new"
        chown "$user:$user" "$own/.new"
        chmod 440 "$own/.new"
        mv "$own/.new" "$own/$name"
    done
    for name in $(ls "$own"); do
        secrets_of "$service" "$folder" | grep -qxF "$name" || rm "$own/$name"
    done
done
chown -R "$user:$user" "$folder"
find "$folder" -type d -exec chmod 750 {} +
find "$folder" -type f -exec chmod 440 {} +
