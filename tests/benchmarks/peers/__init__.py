"""Times the authors' own code beside ours: the same work, in turns, on one machine.

    python -m tests.benchmarks.peers --minimax FOLDER --dc FOLDER --rded FOLDER --out build/peers

Each folder is a checkout of the authors' repository, which is not part of this project: vimar-gu/MinimaxDiffusion,
VICO-UoE/DatasetCondensation, LINs-lab/RDED. Their functions run as they are; only `.cuda()` does nothing on a CPU. Data are
random images in memory and weights are random: times do not care.
"""
