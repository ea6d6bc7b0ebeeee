#!/bin/busybox sh
# The guest's first process, once its root file system is the one that stays: starts the agent. Orphans are reaped
# by its last `wait`.
# As systemd does it on a node: mounts made in one mount namespace show in the others.
mount --make-rshared /
# From here on the console tells what the kernel says of links, controllers and file systems.
busybox dmesg -n 7
microvm-agent &
wait $!
echo "microvm: the agent has ended"
busybox poweroff -f
