#!/bin/sh
# For a NATS server in operator mode (nsc, JWTs): lets a bot's account reach what
# nats-server.conf names, and nothing else. The accounts are there already, the
# first with JetStream. Private exports: without an activation no other account
# gets anything of them.
#
#	./nsc.sh SWITCHBOARD ORDER_BOT order-bot && nsc push --all
set -eu
bridge=$1 account=$2 bot=$3 prefix=${4:-switchboard}

target=$(nsc describe account "$account" --field sub | tr -d '"')
token=$(mktemp)
trap 'rm -f "$token"' EXIT

# share KIND SUBJECT HERE [FLAG...]: exports a subject and imports it as HERE.
share() {
  kind=$1 subject=$2 here=$3
  shift 3
  nsc add export --account "$bridge" --private --name "$bot: $here" --subject "$subject" $kind "$@"
  nsc generate activation --account "$bridge" --target-account "$target" --subject "$subject" --output-file "$token"
  nsc add import --account "$account" --name "$here" --token "$token" --local-subject "$here"
}

events=$(echo "$prefix" | tr a-z A-Z)_EVENTS.$bot
share --service "$prefix.bot.$bot.*.*.*" "$prefix.action.*.*.*"
share --service "\$JS.API.CONSUMER.INFO.$events" "\$JS.API.CONSUMER.INFO.$events"
share --service "\$JS.API.CONSUMER.MSG.NEXT.$events" "\$JS.API.CONSUMER.MSG.NEXT.$events" --response-type Stream
share --service "\$JS.ACK.$events.>" "\$JS.ACK.$events.>" --response-type Stream
# Nobody answers there: see nats-server.conf.
share --service "$prefix.bot.$bot.nobody" "\$JS.API.INFO"
# For typing of account 7, where the bot was granted that:
# share "" "$prefix.live.7.*.typing.*" "$prefix.live.7.*.typing.*"
