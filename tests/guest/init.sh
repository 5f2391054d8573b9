#!/busybox sh
# The first program in a guest: from the archive to the host's own files, over which what is written goes to memory.
# /host is the host's root itself: what the host makes later is certain to be seen only there.
bb=/busybox
$bb mount -t devtmpfs none /dev
while read -r name; do
    $bb insmod "/modules/$name" || echo "lux9 guest: module $name was not loaded"
done < /modules/order
$bb ifconfig lo 127.0.0.1 up
$bb ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up

$bb mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /host || exec $bb sh
$bb mount -t tmpfs -o size=75% none /upper
$bb mkdir /upper/over /upper/work
$bb mount -t overlay -o lowerdir=/host,upperdir=/upper/over,workdir=/upper/work none /new
$bb mkdir -p /new/host /new/dev /new/proc /new/sys /new/run
$bb mount --move /host /new/host
$bb mount --move /dev /new/dev
$bb mount -t proc none /new/proc
$bb mount -t sysfs none /new/sys
$bb mount -t tmpfs none /new/run
$bb mount -t tmpfs none /new/mnt
$bb mkdir -p /new/dev/shm /new/dev/pts
$bb mount -t tmpfs none /new/dev/shm
$bb mount -t devpts none /new/dev/pts
$bb cp $bb /new/run/busybox
# The shell stays: it takes in orphans, and ends the machine when the agent has ended.
agent=$($bb cat /agent)
exec $bb switch_root /new /run/busybox sh -c "$agent; /run/busybox poweroff -f"
