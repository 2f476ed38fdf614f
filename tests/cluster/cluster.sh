#!/bin/bash
# The insides of slurm.py's cluster: what runs as root in namespaces. Each verb ends in a process 1 of its own:
#
#   cluster.sh machine DIR   the controller's machine: bridge, munged, slurmctld
#   cluster.sh node DIR n1   a node, started on that machine: a cable to the bridge, then slurmd
#
# Process 1 of a PID namespace takes everything in it along when it ends, and the network and mounts go with the last
# process. So ending process 1 of the machine is the whole clean-up. It reads standard input, a pipe that the test
# session holds open: a line is the name of a node to boot; the end, also that of a session killed, ends it.
set -eu
verb=$1 dir=$2 name=${3:-ctl} net=10.77.0
own=(--uts --ipc --mount --pid --fork --kill-child --mount-proc)

settle() { # what every machine has of its own
    hostname "$name"
    mount --bind "$dir/hosts" /etc/hosts
    mount -t tmpfs tmpfs /dev/shm
    ip link set lo up
}

case $verb in
machine) exec unshare --net "${own[@]}" "$0" inside-machine "$dir" ;;
inside-machine)
    settle
    ip link add switch type bridge
    ip addr add "$net.254/24" dev switch
    ip link set switch up
    # where every program looks for munge, as on a cluster; nodes have the same /run
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir /run/munge
    munged --key-file="$dir/munge/key" --socket=/run/munge/munge.socket.2 --pid-file="$dir/munge/pid" \
        --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
    slurmctld -f "$dir/slurm.conf"
    echo ready
    while read -r node; do "$0" node "$dir" "$node" & done
    ;;
node) exec unshare --net "$0" plugged-node "$dir" "$name" ;;
plugged-node) # own network, but still the machine's /proc, whose process 1 holds the other end of the cable
    echo $$ >"$dir/$name.pid"
    ip link add eth0 type veth peer name "$name" netns 1
    ip addr add "$net.${name#n}/24" dev eth0
    ip link set eth0 up
    nsenter --target 1 --net ip link set "$name" master switch up
    exec unshare "${own[@]}" "$0" inside-node "$dir" "$name"
    ;;
inside-node)
    settle
    [ -e "$dir/shared-tmp" ] || mount -t tmpfs tmpfs /tmp # nodes share no /tmp, except where the tests themselves lie there
    mkdir -p "$dir/spool.$name" "$dir/tmp.$name"
    slurmd -N "$name" -f "$dir/slurm.conf"
    sleep infinity &
    wait # a shell, since process 1 has to reap orphans
    ;;
esac
