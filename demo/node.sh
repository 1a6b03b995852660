# A node of one's own, for scripts that read this file by the dot command: start_node,
# stop_node, and a folder $work that is removed, as the node is stopped, when the
# script ends, however it ends.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
PATH="$root/bin:$PATH"
export PATH
work=$(mktemp -d "${TMPDIR:-/tmp}/kith.XXXXXX")
node=
unset KITH_TOKEN_FILE KITH_TLS KITH_TLS_CA KITH_TIMEOUT KITHD_TOKEN_FILE KITHD_TLS_CERT KITHD_TLS_KEY KITHD_SHARDS KITHD_FOLLOWING_LIMIT

stop_node() {
	[ -n "$node" ] || return 0
	kill -TERM "$node" 2>/dev/null || :
	wait "$node" || echo "kithd ended with status $?" >&2
	node=
}

clean_up() {
	status=$?
	trap - EXIT
	stop_node
	rm -rf "$work"
	exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM HUP

# start_node starts kithd and waits for its one line.
start_node() {
	echo
	echo '$ kithd --listen 127.0.0.1:0'
	rm -f "$work/ready"
	mkfifo "$work/ready"
	kithd --data-dir "$work/kith-data" --listen 127.0.0.1:0 --peer-listen 127.0.0.1:0 >"$work/ready" 2>>"$work/log" &
	node=$!
	if ! read -r line <"$work/ready"; then
		cat "$work/log" >&2
		exit 1
	fi
	echo "$line"
	KITH_ADDR=${line#*clients }
	KITH_ADDR=${KITH_ADDR%%,*}
	export KITH_ADDR
}
