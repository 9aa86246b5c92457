#!/bin/bash
#SBATCH --job-name=conformers
#SBATCH --array=1-200
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
# Task k makes shard k of 200. A task that is killed or requeued goes on where it was;
# the same array, submitted again, makes what is missing and nothing else.
export OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK"
molgen conformers library.smi --n 20 --steps 4 --out conformers --quiet \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
