"""Figures that the documentation claims, each made beside a peer in the same run. Results: `benchmarks/RESULTS.md`."""
