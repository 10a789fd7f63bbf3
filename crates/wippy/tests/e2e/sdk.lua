-- Runs the probes, and says which children of the guests' supervisor are started anew.

local process = require("process")
local time = require("time")

local names = { "a", "b", "c", "d" }

local function pids(tree)
    local found = {}
    for index, name in ipairs(names) do
        found[name] = process.call(tree, "pid", "5s", index - 1)
    end
    return found
end

-- Waits until `name` is another process, and tells which others are.
local function anew(tree, before, name)
    local now
    for _ = 1, 500 do
        now = pids(tree)
        if now[name] ~= before[name] then break end
        time.sleep("5ms")
    end
    -- Those that were asked for first may have been the old ones still.
    now = pids(tree)
    local changed = {}
    for _, each in ipairs(names) do
        if now[each] ~= before[each] and now[each] ~= "none" then changed[#changed + 1] = each end
    end
    return table.concat(changed, " ")
end

local function tree(strategy)
    return assert(process.spawn_monitored("app:tree", "app:processes", strategy))
end

local function main()
    for _, probe in ipairs({ "app:probe", "app:probe-c" }) do
        assert(process.spawn_monitored(probe, "app:processes"))
        local event = process.receive("30s")
        print(probe, event.value, event.error)
    end
    for _, strategy in ipairs({ "one_for_one", "rest_for_one", "one_for_all" }) do
        local pid = tree(strategy)
        local before = pids(pid)
        process.send("b", "crash")
        print(strategy, anew(pid, before, "b"))
        process.cancel(pid, "10s")
        process.receive("10s")
    end

    local pid = tree("one_for_one")
    local before = pids(pid)
    process.send("c", "stop")
    print("always", anew(pid, before, "c"))
    before = pids(pid)
    process.send("d", "crash")
    print("never", anew(pid, before, "d"))
    process.cancel(pid, "10s")
    local event = process.receive("10s")
    print("stopped", event.error or process.registry.lookup("a") or "none left")

    pid = tree("one_for_one")
    local last
    for _ = 1, 3 do
        local a = process.registry.lookup("a")
        while not a or a == last do
            time.sleep("1ms")
            a = process.registry.lookup("a")
        end
        process.send(a, "crash")
        last = a
    end
    event = process.receive("10s")
    print("too often", (tostring(event.error):match("no restart.*")))

    -- The children of one that is terminated end a moment later; the next one waits for their names.
    pid = tree("one_for_one")
    before = pids(pid)
    process.terminate(pid)
    pid = tree("one_for_one")
    print("terminated", pids(pid).a ~= before.a and "and there again")
    process.cancel(pid, "10s")
    process.receive("10s")

    -- Two children end while their supervisor waits for the third.
    pid = assert(process.spawn_monitored("app:trio", "app:processes"))
    local function trio(old)
        local found = {}
        for _, name in ipairs({ "first", "second", "third" }) do
            repeat
                time.sleep("2ms")
                found[name] = process.registry.lookup(name)
            until found[name] and found[name] ~= old[name]
        end
        return found
    end
    before = trio({})
    process.send("first", "crash")
    print("trio", trio(before).third ~= before.third and "all anew")
    process.cancel(pid, "10s")
    repeat event = process.receive("10s") until not event or event.from == pid
    print("trio", event and (event.error or "stopped"))
end

return { main = main }
