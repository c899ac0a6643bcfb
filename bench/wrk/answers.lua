-- What every run of wrk here loads: it prints its figures in one line of JSON, and takes the
-- Authorization header of each request from a file, in turn, where one is named after `--`.
-- With the word `statuses` after it, answers are counted by status (which costs wrk time).

local requests = {}
local threads = {}
local turn = 0

statuses = ""
local counts = {}

local function count_status(status)
    counts[status] = (counts[status] or 0) + 1
    local parts = {}
    for known, count in pairs(counts) do
        parts[#parts + 1] = string.format('"%d": %d', known, count)
    end
    statuses = table.concat(parts, ", ")
end

function setup(thread)
    threads[#threads + 1] = thread
end

function init(arguments)
    if arguments[1] == nil then
        return
    end
    for line in io.lines(arguments[1]) do
        wrk.headers["Authorization"] = line
        requests[#requests + 1] = wrk.format()
    end
    request = function()
        turn = turn % #requests + 1
        return requests[turn]
    end
    if arguments[2] == "statuses" then
        response = count_status
    end
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '\nBENCH {"requests": %d, "microseconds": %d, "p50": %d, "p90": %d, "p99": %d, "most": %d, '
            .. '"unsuccessful": %d, "broken": %d, "statuses": {%s}}\n',
        summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout,
        threads[1]:get("statuses") or ""
    ))
end
