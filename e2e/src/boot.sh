# Turns a fresh set of namespaces into a node: runs as process 1 of the node's pid namespace, still seeing the
# host's file system, and ends by becoming the node's init.
#
# The node's root is an overlay: the host's files below, the node's own disk above, so every program of the
# host is there and whatever the node writes lands on its disk and nowhere else. /etc, /var/log and the state
# of skerry, containerd and CNI lie on the disk directly; /run is memory.
#
# In: DISK (image file), MOUNT (an empty folder), LAB (the lab's folder), NAME, BOOT_ID, GATEWAY,
# CGROUPS ("folder=options" words; "=" alone is a machine with version 2 only), LEAF (version 2's leaf or "")
set -eu

if [ -n "$LEAF" ]; then
    mkdir -p "$LEAF"
    echo 0 >"$LEAF/cgroup.procs"
fi
mount -t ext4 -o loop,noinit_itable "$DISK" "$MOUNT"

own="skerry containerd cni kubelet"
if [ ! -e "$MOUNT/complete" ]; then
    mkdir -p "$MOUNT/root" "$MOUNT/work" "$MOUNT/new" "$MOUNT/log" "$MOUNT/etc"
    for name in $own; do mkdir -p "$MOUNT/lib/$name"; done
    cp -a /etc/. "$MOUNT/etc/"
    cd "$MOUNT/etc"
    rm -rf cni containerd skerry hostname hosts resolv.conf machine-id
    mkdir -p cni/net.d containerd skerry
    echo "$NAME" >hostname
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$NAME" >hosts
    # The host answers that nothing listens there, so a lookup fails at once instead of leaving the machine.
    echo "nameserver $GATEWAY" >resolv.conf
    tr -d - </proc/sys/kernel/random/uuid >machine-id
    touch "$MOUNT/complete"
    sync -f "$MOUNT"
fi

new=$MOUNT/new
mount -t overlay -o "lowerdir=/,upperdir=$MOUNT/root,workdir=$MOUNT/work" overlay "$new"

# Other real file systems of the host, such as a separate /home, to be read. What a node has itself is left out.
while read -r _ _ _ _ point _; do
    case $point in
        / | /proc* | /sys* | /dev* | /run* | /etc* | /var* | /tmp*) ;;
        *) if [ -d "$point" ] && mount --rbind "$point" "$new$point" 2>/dev/null; then
               mount -o remount,bind,ro "$new$point" 2>/dev/null || true
           fi ;;
    esac
done </proc/self/mountinfo

mkdir -p "$new/run" "$new/tmp" "$new/proc" "$new/sys" "$new/dev" "$new/etc" "$new/var/log"
chmod 1777 "$new/tmp"
mount --bind "$MOUNT/etc" "$new/etc"
mount --bind "$MOUNT/log" "$new/var/log"
for name in $own; do
    mkdir -p "$new/var/lib/$name"
    mount --bind "$MOUNT/lib/$name" "$new/var/lib/$name"
done
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mkdir -p "$new/run/lock" "$new/run/lab" "$new/run/old"
mount --bind "$LAB" "$new/run/lab"
mount -o remount,bind,ro "$new/run/lab"
mount -t proc proc "$new/proc"
mount -t sysfs sysfs "$new/sys"
mount --rbind /dev "$new/dev"
mount -t tmpfs -o mode=1777 tmpfs "$new/dev/shm"

if [ "$CGROUPS" = "=" ]; then
    mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$new/sys/fs/cgroup"
    for word in $CGROUPS; do
        name=${word%%=*} options=${word#*=}
        mkdir "$new/sys/fs/cgroup/$name"
        if [ -z "$options" ]; then
            mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup/$name"
        else
            mount -t cgroup -o "$options" cgroup "$new/sys/fs/cgroup/$name"
        fi
        # "cpu,cpuacct" is looked for under either name.
        case $name in *,*)
            for one in $(echo "$name" | tr , ' '); do ln -s "$name" "$new/sys/fs/cgroup/$one"; done ;;
        esac
    done
fi

cd "$new"
pivot_root . run/old
cd /
umount -l /run/old
rmdir /run/old
# As on a real machine, so that what a node mounts for a pod is seen in the pod.
mount --make-rshared /

echo "$BOOT_ID" >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
hostname "$NAME"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /run/lab/bin/lab node-init
