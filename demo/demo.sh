#!/bin/sh
# Starts a node on a free port with a data folder of its own, loads a follow graph,
# runs each operation, restarts the node, and leaves nothing behind.
#
#   sh demo/demo.sh                 a generated graph of 4,000 people, always the same
#   GRAPH=file sh demo/demo.sh      any edge list, plain, gzip or zstd
#
# Needs bin/kith, bin/kithd and bin/kith-bench (make build).
set -eu

. "$(dirname "$0")/node.sh"

say() {
	echo
	echo "# $*"
}

# run prints a command and runs it.
run() {
	echo
	echo "\$ $*"
	"$@"
}

# refused is run for a command that the node is to refuse.
refused() {
	if run "$@" 2>&1; then
		echo 'demo: that should have been refused' >&2
		exit 1
	fi
}

# most_connected prints the user with the most followers and the one that follows
# the most others, of an export on standard input. It leaves out ids that a shell
# would have to quote.
most_connected() {
	awk -F '\t' '
		NF == 3 && ($1 $2) !~ /[^A-Za-z0-9._:@]/ { following[$1]++; followers[$2]++ }
		function best(count,   id, top) {
			for (id in count)
				if (top == "" || count[id] > count[top] || count[id] == count[top] && id < top) top = id
			return top
		}
		END { print best(followers), best(following) }'
}

start_node
KITH_OUTPUT=table
export KITH_OUTPUT

if [ -n "${GRAPH:-}" ]; then
	say "Import $GRAPH."
	run kith import "$GRAPH" --rejects "$work/rejects"
else
	say 'A graph of 4,000 people, two of them celebrities.'
	echo
	echo '$ kith-bench generate --users 4000 --follows 80000 --times > graph.tsv'
	kith-bench generate --users 4000 --follows 80000 --times >"$work/graph.tsv"
	cd "$work"
	run kith import graph.tsv
fi

kith export - >"$work/loaded.tsv"
most_connected <"$work/loaded.tsv" >"$work/names"
read -r star me <"$work/names" || :
if [ -z "$star" ] || [ -z "$me" ]; then
	echo 'demo: the graph holds no follow between users with plain ids' >&2
	exit 1
fi

say "Who has the most followers, and who follows the most others."
run kith info "$star" "$me"
run kith followers "$star" --limit 5
run kith following "$me" --limit 5
run kith mutuals "$me" --limit 5
set -- $(kith following "$me" --limit 3 --output tsv 2>/dev/null | cut -f1 | grep '^[A-Za-z0-9._:@]*$')
run kith check "$me" "$star" "$@" nobody

say 'A newcomer, who follows both and is followed back by one.'
run kith follow newcomer "$star" "$me"
run kith follow "$me" newcomer
run kith check newcomer "$star" "$me"
run kith mutuals newcomer
run kith unfollow newcomer "$star"
run kith following newcomer

say 'What is refused.'
refused kith follow newcomer newcomer
refused kith followers "$star" --cursor forged

say 'The same for scripts.'
run kith info newcomer --output json
run kith following newcomer --output json
run kith following newcomer --output tsv

say 'Everything out again, and a restart: all is still there.'
cd "$work"
run kith export graph-before.tsv.gz
stop_node
start_node
run kith info "$star" "$me" newcomer
run kith export graph-after.tsv.gz
gunzip -c graph-before.tsv.gz | LC_ALL=C sort >before
gunzip -c graph-after.tsv.gz | LC_ALL=C sort >after
cmp before after
echo 'The two exports are equal.'
run kith status
run kith ping
stop_node
say 'The node has stopped; its data folder is removed.'
