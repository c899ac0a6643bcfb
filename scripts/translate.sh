#!/bin/sh
# Brings the console's translations up to date: new texts into the .po files, and these into .mo files.
# Translate what is empty or fuzzy in src/nightlatch/console/locale/*/LC_MESSAGES/nightlatch.po, then run it again.
set -eu
cd "$(dirname "$0")/.."
console=src/nightlatch/console
template=$(mktemp)
trap 'rm -f "$template"' EXIT
bin=.venv/bin
$bin/pybabel -q extract -F scripts/babel.cfg -k _message -k n:1,2 --no-location \
	--no-wrap --sort-output -o "$template" "$console"
$bin/pybabel -q update -D nightlatch -i "$template" -d "$console/locale" --no-fuzzy-matching --no-wrap \
	--ignore-obsolete --ignore-pot-creation-date
$bin/pybabel -q compile -D nightlatch -d "$console/locale" --statistics
