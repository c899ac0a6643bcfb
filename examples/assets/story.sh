#!/bin/sh
# Log in, use the token on resources, log out, be refused; ends with 1 at the first answer that is another.
#
#     sh story.sh NIGHTLATCH API ORGANIZATION USERNAME      (the password on standard input)
set -eu
nightlatch=$1 assets="$2/api/v1/$3/assets/"

# What was asked and the status it got; the body of the answer is left in $answer.
expect() {
    status=$1
    shift
    answer=$(curl -sS -w '\n%{http_code}' "$@" </dev/null)
    echo "$(printf %s "$answer" | tail -n 1)  $*" | sed 's/nlt_[0-9A-Za-z_]*/nlt_.../'
    [ "$(printf %s "$answer" | tail -n 1)" = "$status" ]
}

token=$(curl -sS "$nightlatch/api/auth/login/" --data-urlencode "username=$4" -d "organization_id=$3" \
    --data-urlencode password@- | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
header="Authorization: Token $token"

expect 201 -H "$header" "$assets" -d '{"title": "Opening night"}'
asset=$(printf %s "$answer" | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
expect 200 -H "$header" "$assets"
expect 200 -H "$header" "$assets$asset/"
expect 204 -H "$header" "$assets$asset/" -X DELETE
expect 404 -H "$header" "$assets$asset/"
expect 403 -H "$header" "$2/api/v1/other9/assets/"
expect 204 -H "$header" "$nightlatch/api/auth/logout/" -X POST
expect 401 -H "$header" "$assets"
