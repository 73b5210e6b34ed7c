#!/usr/bin/env bash
# Training on several machines under SLURM, one worker on each; arguments go to colorizer.fit:
#     sbatch models_export/deploy/training/slurm.sh --data photos/train --run-dir runs/first
# Photos and run folder lie on a file system that all machines see. Submitted again, it goes on.
#SBATCH --job-name=colorizer
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=08:00:00
# The workers write a checkpoint and stop three minutes before the time is over.
#SBATCH --signal=TERM@180
set -euo pipefail

restarts="${RESTARTS:-5}"
python="${PYTHON:-python}"
port=$((20000 + SLURM_JOB_ID % 20000))

addresses=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$port\"/" | paste -sd,)
export addresses python

# SLURM_PROCID is another one in each worker.
# shellcheck disable=SC2016
worker='
export TF_CONFIG="{\"cluster\": {\"worker\": [$addresses]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
exec "$python" -m colorizer.fit "$@" --resume'

# srun gives the highest exit code of all workers: 75 where one was lost, 137 where one was killed.
for ((attempt = 0; attempt <= restarts; attempt++)); do
    code=0
    srun --kill-on-bad-exit=0 bash -c "$worker" worker "$@" || code=$?
    case $code in
        75 | 137) echo "a worker was lost: all begin again" >&2 ;;
        *) exit "$code" ;;
    esac
done
exit "$code"
