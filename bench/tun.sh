#!/usr/bin/env bash
# What offloads are worth on a TUN device: iperf3 between two namespaces whose TUN devices are joined by `tun-loop`, with the
# tun-tap crate (A) and with our port (B), alternating. Needs root, or user namespaces and an open /dev/net/tun.
#   bench/tun.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --locked --release -p vswitch-bench --bin tun-loop
loop=${CARGO_TARGET_DIR:-target}/release/tun-loop
export LOOP=$(realpath "$loop") ROUNDS=${1:-5}
user=()
[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
exec unshare "${user[@]}" --net --mount --pid --fork --kill-child --mount-proc bash -euo pipefail -c '
mount -t tmpfs none /run && mkdir -p /run/netns
ip netns add a && ip netns add b
one() {
    "$LOOP" "$1" ta tb & pid=$!
    until ip link show tb >/dev/null 2>&1; do sleep 0.05; done
    for side in a b; do
        ip link set t$side mtu 1480 netns $side
        ip -n $side link set t$side up
    done
    ip -n a addr add 10.9.0.1 peer 10.9.0.2 dev ta
    ip -n b addr add 10.9.0.2 peer 10.9.0.1 dev tb
    ip netns exec b iperf3 -s -1 >/dev/null & server=$!
    sleep 0.3
    ip netns exec a timeout 20 iperf3 -c 10.9.0.2 -t 3 -f g | awk "/receiver/ {print \$7}"
    wait $server
    kill $pid; wait $pid 2>/dev/null || true
}
echo "round  tun-tap Gbit/s  port Gbit/s  ratio"
for round in $(seq "$ROUNDS"); do
    a=$(one tun-tap) b=$(one port)
    awk -v r=$round -v a=$a -v b=$b "BEGIN {printf \"%5d  %14.2f  %11.2f  %5.1f\\n\", r, a, b, b / a}"
done'
