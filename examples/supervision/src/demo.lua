-- Starts the tree, makes one worker after another fail, and says which of them are other
-- processes then.

local process = require("process")
local time = require("time")

local names = { "pair", "tickets", "counter", "guest", "echo", "square" }

-- Who has a name, once it is another process than before.
local function await(name, before)
    for _ = 1, 1000 do
        local pid = process.registry.lookup(name)
        if pid and pid ~= before then return pid end
        time.sleep("10ms")
    end
    error(name .. " does not come back", 0)
end

local function pids()
    local found = {}
    for _, name in ipairs(names) do found[name] = await(name) end
    return found
end

local function report(before)
    local anew = {}
    for _, name in ipairs(names) do
        if await(name) ~= before[name] then anew[#anew + 1] = name end
    end
    print("  started anew: " .. table.concat(anew, ", "))
end

-- Sends a worker what makes it fail.
local function crash(name, topic, ...)
    local before = pids()
    process.send(name, topic, ...)
    await(name, before[name])
    report(before)
end

local function main()
    local tree = assert(process.spawn_monitored("tree:tree", "tree:processes"))
    for _, name in ipairs(names) do await(name) end

    print("tickets " .. process.call("tickets", "next") .. " and " .. process.call("tickets", "next"))
    process.send("counter", "add", 2)
    print("counted " .. process.call("counter", "get"))
    print("the square of 6 is " .. process.call("square", "square", "1s", 6))

    print("square (WebAssembly, one_for_one) cannot square a million and traps")
    crash("square", "square", 1000000)
    print("  the square of 7 is " .. process.call("square", "square", "1s", 7))

    print("counter (WebAssembly, the last of rest_for_one) is to add what is no number")
    crash("counter", "add", "one")
    print("  counted " .. process.call("counter", "get"))

    print("tickets (Lua, the first of rest_for_one) fails")
    crash("tickets", "crash")

    print("tickets fails again and again: its supervisor gives up, and is started anew itself")
    local before = pids()
    while process.registry.lookup("pair") == before.pair do
        process.send("tickets", "crash")
        time.sleep("5ms")
    end
    await("pair", before.pair)
    report(before)

    process.cancel(tree, "5s", "the demo is over")
    local event = process.receive("10s")
    print("the tree has stopped" .. (event.error and ": " .. tostring(event.error) or ""))
    print("left: " .. (process.registry.lookup("echo") and "echo" or "nobody"))
end

return { main = main }
