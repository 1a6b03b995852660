#!/bin/sh
# Loads a node of its own with a generated graph and measures checks against it.
# Client and node share the machine's processors.
#
#   sh bench/checks.sh                                   100,000 users, 5,000,000 follows
#   USERS=10000 FOLLOWS=300000 sh bench/checks.sh
#
# Needs bin/kith, bin/kithd and bin/kith-bench (make build).
. "$(dirname "$0")/../demo/node.sh"

users=${USERS:-100000}
follows=${FOLLOWS:-5000000}

start_node
kith-bench generate --users "$users" --follows "$follows" --times | kith --output table import -
kith-bench checks --users "$users" --follows "$follows"
KITH_OUTPUT=table kith status
