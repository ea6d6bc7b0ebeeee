#!/bin/busybox sh
# The guest's first process: mounts what the kernel offers, loads what the guest needs, configures both links by
# the kernel command line, and goes on as microvm-start, in another root file system where the guest has one.
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

# The guest's own root: what a test has added goes along, with the modules and what the agent needs.
change_root() {
  for disk in /sys/block/vd*; do
    [ "$(cat "$disk/serial")" = root ] && mount -t ext4 "/dev/${disk##*/}" /mnt
  done
  while read -r path; do
    mkdir -p "/mnt/${path%/*}"
    cp -a "/$path" "/mnt/$path"
  done < /etc/microvm/additions
  cp /bin/busybox /mnt/bin/
  cp /sbin/microvm-start /sbin/microvm-agent /mnt/sbin/
  cp /etc/hosts /mnt/etc/
  ln -sf /bin/busybox /mnt/sbin/modprobe
  cp -r /lib/modules /mnt/lib/
  for place in dev proc sys run; do mount --move "/$place" "/mnt/$place"; done
  # Frees the memory of this one.
  exec switch_root /mnt /sbin/microvm-start
}

case $(cat /proc/cmdline) in
  *microvm.root*) change_root ;;
  *) exec /sbin/microvm-start ;;
esac
