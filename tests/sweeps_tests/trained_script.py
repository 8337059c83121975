"""A script that trains nothing: its return grows by 10 an iteration, if its learning rate is large enough."""

import csv
import sys

flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
size, total = int(flags["--num-envs"]) * int(flags["--num-steps"]), int(flags["--total-timesteps"])
lr = float(flags["--lr"])
with open("progress.csv", "w") as file:
    log = csv.writer(file)
    log.writerow(["global_step", "charts/episodic_return", "losses/value_loss", "losses/approx_kl", "losses/clipfrac"])
    for step in range(size, total + 1, size):
        log.writerow([step, 10 * step / size * min(1, lr / 1e-3) + int(flags["--seed"]) % 7, 1 / step, lr / 10, 0.1])
