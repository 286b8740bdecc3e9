#!/bin/bash
# Runs docs/cluster/slurm.sh on two "machines" of this one: network namespaces with a cable between them, each with processes
# of its own. Needs root, and takes a minute, so it is no part of `make test`:  tests/docs/two_machines.sh FOLDER
# FOLDER gets the store and a log per machine. What Slurm gives is put in its place: scontrol, srun and SLURM_* variables.
set -euo pipefail
folder=$(realpath "$1") root=$(realpath "$(dirname "$0")/../..")
mkdir -p "$folder/bin" /tmp/ray

clean() { for n in 1 2; do ip netns del "harness$n" 2>/dev/null || true; done; }
trap clean EXIT
for n in 1 2; do ip netns add "harness$n"; done
ip link add harness-a netns harness1 type veth peer name harness-b netns harness2
ip -n harness1 addr add 10.77.0.1/24 dev harness-a
ip -n harness2 addr add 10.77.0.2/24 dev harness-b
for n in 1 2; do ip -n "harness$n" link set lo up; done
ip -n harness1 link set harness-a up
ip -n harness2 link set harness-b up

cat >"$folder/bin/scontrol" <<'END'
#!/bin/bash
printf 'one\ntwo\n'
END
cat >"$folder/bin/srun" <<'END'
#!/bin/bash
# Every word that begins with -- is srun's own, up to the command; `hostname` is the head's, all else runs on both machines.
while [[ $1 == --* ]]; do shift; done
if [[ $1 == hostname ]]; then echo 10.77.0.1; exit; fi
for n in 1 2; do
    ip netns exec "harness$n" unshare --pid --fork --mount --mount-proc \
        bash -c 'mount -t tmpfs none /tmp/ray && exec "$@"' machine "$@" >"$FOLDER/machine$n.log" 2>&1 &
done
wait -n %1; code=$?
wait
exit $code
END
cat >"$folder/bin/harness" <<'END'
#!/bin/bash
exec python -u -m harness.cli "$@"
END
chmod +x "$folder"/bin/*

cd "$root"
export FOLDER=$folder PATH="$folder/bin:$PATH" PYTHONPATH=$root HOME=$folder
export SLURM_JOB_NODELIST=one,two SLURM_JOB_ID=4711 SLURM_JOB_NUM_NODES=2 SLURM_CPUS_PER_TASK=1
sed "s|/shared|$folder|g" docs/cluster/slurm.sh >"$folder/slurm.sh"
bash "$folder/slurm.sh" --suite digits --methods random_real --ipc 1 --students convnet3 --seeds 0,1 --name two
