#!/bin/busybox sh
# The guest's first process: mounts what the kernel offers, loads what every guest needs, configures both
# links by the kernel command line and starts the agent. Orphans are reaped by its last `wait`.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
# Nobody else makes the nodes of device mapper's devices: there is no udev.
export DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
# As systemd does it on a node: mounts made in one mount namespace show in the others.
mount --make-rshared /

for option in $(cat /proc/cmdline); do
  case $option in
    microvm.name=*) name=${option#*=} ;;
    microvm.address=*) address=${option#*=} ;;
  esac
done
hostname "$name"
printf '127.0.0.1 localhost\n%s %s\n' "${address%/*}" "$name" > /etc/hosts

modprobe -a $(cat /etc/microvm/modules) || echo "microvm: a module is missing"
mount -t configfs configfs /sys/kernel/config

ip link set lo up
for interface in /sys/class/net/eth*; do
  case $(cat "$interface/address") in
    52:54:00:77:*) ip link set "${interface##*/}" name data && ip addr add "$address" dev data && ip link set data up ;;
    52:54:00:78:*) ip link set "${interface##*/}" name management && ip addr add 10.78.0.15/24 dev management && ip link set management up ;;
  esac
done

# From here on the console tells what the kernel says of links, controllers and file systems.
dmesg -n 7
microvm-agent &
wait $!
echo "microvm: the agent has ended"
poweroff -f
