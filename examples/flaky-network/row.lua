-- One row of the table, printed by wrk at the end of its run.
function done(summary, latency)
    local errors = 0
    for _, count in pairs(summary.errors) do errors = errors + count end
    io.write(string.format("%10.1f ms %10.1f ms %10.1f ms %10d %8d\n", latency.mean / 1000,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.requests, errors))
end
