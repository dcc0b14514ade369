#!/bin/sh
# Makes the folder of secrets (./secrets, or the one named) and whatever of it is random; what is there already stays.
# Runs as root, so that the containers' user (10001) can read them and no other user of this machine can.
set -eu
folder=${1:-secrets}
random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
umask 077
mkdir -p "$folder"
for name in postgres.password console.secret metrics.token grafana.password; do
    [ -s "$folder/$name" ] || random > "$folder/$name"
done
chown -R "${SPP_UID:-10001}:${SPP_UID:-10001}" "$folder"
chmod 750 "$folder"
chmod 440 "$folder"/*
