# Begins a system as the first process of its own container, in the calling network and mount namespace.
# $1: its root; $2: the name of its control group; $3: what goes on inside (boot.sh).
mount -t cgroup2 cgroup2 "$1/mnt"
mkdir "$1/mnt/$2"
echo $$ > "$1/mnt/$2/cgroup.procs"
umount "$1/mnt"
# What unshare itself has to say is that its child was killed, as it is in the end.
exec unshare --cgroup --pid --fork --kill-child --uts --ipc sh -euc "exec 2>&3 3>&-; $3" sh "$1" 3>&2 2> /dev/null
