#!/bin/bash
#SBATCH --job-name=train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --time=24:00:00
# One task per device. Lightning reads the rest from SLURM's variables.
srun molgen train configs/qm9.yaml --devices 4 --nodes 2 --out runs/qm9 --max-time 23:30:00 \
  $([ -e runs/qm9/last.ckpt ] && echo --resume)
