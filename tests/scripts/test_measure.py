from benchmark_runs import benchmark


def test_counts_memory_and_time_of_the_command():
    done = benchmark("measure", "--runs", "2", "--", "python", "-c", "x = b'x' * 300_000_000")
    assert done.returncode == 0, done.stderr
    wall, cpu, peak = done.stdout.splitlines()
    assert wall.startswith("wall: median") and cpu.startswith("CPU: median")
    assert 0.28 < float(peak.split()[2]) < 0.6


def test_a_command_that_fails_gives_no_figures():
    done = benchmark("measure", "--", "python", "-c", "raise SystemExit(3)")
    assert done.returncode == 1 and done.stdout == ""
    assert "exit status 3" in done.stderr
