#!/bin/sh
# What `make run` needs before it can serve: tables, the organization auhf2k, and its first user.
# Each step is made only if it is missing, so that a run that was interrupted can be repeated.
set -eu
nightlatch=.venv/bin/nightlatch
user=hari@example.com
organization=auhf2k

$nightlatch migrate >/dev/null
if ! $nightlatch organization show $organization >/dev/null 2>&1; then
    $nightlatch organization add "Acme" --id $organization >/dev/null
    echo "Added organization $organization."
fi
if ! $nightlatch user list --json | grep -q "\"$user\""; then
    $nightlatch user add $user --organization $organization --role owner --generate-password
fi
echo "The console, for a browser on this machine: http://localhost:${NIGHTLATCH_PORT:-8000}/console/"
