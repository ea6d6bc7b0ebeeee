# What systemd would have done on a node before containerd and the kubelet start. $HOST_API is where the API server
# is, $SERVICE the cluster's address for it, $PODS the first two numbers of the pods' addresses.
set -e
address=$(ip -4 -o address show dev data | sed 's/.*inet \([0-9.]*\).*/\1/')
own=${address##*.}

# cgroup 2: controllers are given away only where no process is in the way.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/system
for process in $(cat /sys/fs/cgroup/cgroup.procs); do
  # Threads of the kernel stay where they are.
  echo "$process" 2>/dev/null > /sys/fs/cgroup/system/cgroup.procs || true
done
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
  echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done

printf '%s%026d\n' 6e6f6465 "$own" | cut -c1-32 > /etc/machine-id
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables

# Pods of other nodes, over the data network; the API server under its address as a Service.
for other in 1 2 3 4 5 6 7 8; do
  [ "$other" = "$own" ] || ip route add "$PODS.$other.0/24" via "${address%.*}.$other"
done
ip route add "$SERVICE/32" dev management
for chain in PREROUTING OUTPUT; do
  iptables -t nat -A "$chain" -d "$SERVICE" -p tcp --dport 443 -j DNAT --to-destination "$HOST_API"
done
