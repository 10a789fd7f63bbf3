-- The tree: at its root a supervisor of two supervisors, one in Lua and one in WebAssembly.

local supervisor = require("supervisor")

-- `counter` counts what `tickets` hands out: when tickets begins anew, so does counter.
local function pair()
    return supervisor.run {
        strategy = "rest_for_one",
        max_restarts = 3,
        within = "10s",
        children = {
            { name = "tickets", entry = "tree:tickets", host = "tree:processes" },
            { name = "counter", entry = "tree:counter", host = "tree:processes", args = { 0 } },
        },
    }
end

local function main()
    return supervisor.run {
        strategy = "one_for_one",
        max_restarts = 3,
        within = "1m",
        children = {
            { name = "pair", entry = "tree:pair", host = "tree:processes" },
            { name = "guest", entry = "tree:guest", host = "tree:processes" },
        },
    }
end

return { main = main, pair = pair }
