#!/bin/bash
# One run on several machines of a Slurm cluster:  sbatch docs/cluster/slurm.sh --suite digits --methods all
# What stands behind the file's name is given to `harness run`. Change the numbers and the folder /shared.
#SBATCH --job-name=harness
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)
ip=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
address=$ip:$((20000 + SLURM_JOB_ID % 10000)) # each job has a port of its own

export RAY_AUTH_MODE=token # only who knows the token may join, and it is known to this job alone
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=600 # seconds until all nodes are there; 30 is short for a shared disk
export RAY_USAGE_STATS_ENABLED=0

srun --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    ray symmetric-run --address "$address" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" -- \
    harness run --ray-address "$address" --store /shared/results --data-root /shared/data "$@"
