-- Actors that misuse the kernel: each function is a process. Those that are named for what they
-- do never stop by themselves or end with "done" where nothing was wrong with the answers; the
-- others, at the end, are what these meet. `test:crowd` is a host that is soon full, `test:wide`
-- one that is not.

local CROWD = "test:crowd"
local WIDE = "test:wide"

local function fits(what, result, err, kind)
    if result then error(what .. ": it was done") end
    if err:kind() ~= kind then error(what .. ": " .. err:kind() .. ": " .. err:message()) end
    if #tostring(err) > 4096 then error(what .. ": an error of " .. #tostring(err) .. " bytes") end
end

local function must(...)
    local result, err = ...
    if err then error(err) end
    return ...
end

local function start(name, ...)
    return must(process.spawn(name, CROWD, ...))
end

-- A text of a megabyte.
local function mib() return ("x"):rep(1 << 20) end

-- A PID of a process that has ended.
local function dead()
    local pid = must(process.spawn_monitored("test:value", CROWD, "gone"))
    local event = process.receive()
    if event.from ~= pid then error("another event came") end
    return pid
end

-- Takes events of this kind; tells how many came until one took too long.
local function count(kind, most, patience)
    local found = 0
    while found < most do
        local event = process.receive(patience)
        if not event then break end
        if event.kind == kind then found = found + 1 end
    end
    return found
end

-- Messages.

function flood()
    while true do
        local sent, err = process.send("neighbour", "flood", 1, 2, 3)
        if not sent then fits("flood", sent, err, "Unavailable") end
    end
end

function flood_huge()
    local huge = mib()
    while true do
        local sent, err = process.send("neighbour", "flood", huge)
        if not sent then fits("flood_huge", sent, err, "Unavailable") end
    end
end

function flood_itself()
    while true do
        local sent, err = process.send(process.pid(), "flood", ("x"):rep(1000))
        if not sent then
            fits("flood_itself", sent, err, "Unavailable")
            for _ = 1, 10 do process.receive("0ms") end
        end
    end
end

function send_dead()
    local gone = dead()
    local far = "{elsewhere@test:processes|1.1}"
    local high = process.pid():gsub("%.%x+}$", ".ffffffffffffffff}")
    local long = ("x"):rep(60000)
    local targets = { gone, far, high, "nobody", long, "" }
    local no_pids = { "{" .. long, "{local@|}", "{" }
    while true do
        for _, target in ipairs(targets) do
            local sent, err = process.send(target, "hello", 1)
            fits("send_dead", sent, err, "NotFound")
        end
        for _, target in ipairs(no_pids) do
            local sent, err = process.send(target, "hello", 1)
            fits("send_dead", sent, err, "Invalid")
        end
    end
end

function forge_replies()
    local own = process.pid():sub(1, -2)
    local calls, huge = 0, mib()
    while true do
        calls = calls + 1
        local sent, err = process.send(("%s.%x}"):format(own, calls), "reply", huge)
        fits("forge_replies", sent, err, "NotFound")
        local held = process.receive("0ms")
        if held then error("a forged reply turned up in the mailbox") end
    end
end

function flood_replies()
    local replies = start("test:replies_often")
    for i = 1, 50 do
        local reply = must(process.call(replies, "call", "10s", i))
        if reply ~= i then error("another reply came: " .. tostring(reply)) end
    end
    local refused = must(process.call(replies, "count", "10s"))
    if refused ~= 50 * 20 then error(refused .. " replies were refused") end
    if process.receive("0ms") then error("a reply turned up in the mailbox") end
    return "done"
end

-- The replies of a megabyte each come while nobody looks.
function replies_unread()
    local replies = start("test:replies_large")
    for _ = 1, 300 do
        coroutine.spawn(function() process.call(replies, "call", "60s") end)
    end
    require("time").sleep("1ms")
    while true do end
end

function call_storm()
    local sleeper = start("test:sleeps_deaf")
    local refused = 0
    for _ = 1, 1100 do
        coroutine.spawn(function()
            local _, err = process.call(sleeper, "call", "60s")
            if err:kind() == "Unavailable" then refused = refused + 1 end
        end)
    end
    local time = require("time")
    for _ = 1, 100 do
        if refused >= 1100 - 1024 then break end
        time.sleep("1ms")
    end
    if refused < 1100 - 1024 then error(refused .. " calls were refused") end
    local reply, err = process.call(process.pid(), "call", "1ms")
    fits("a call too many", reply, err, "Unavailable")
    return "done"
end

function call_itself()
    while true do
        local reply, err = process.call(process.pid(), "call", "1ms")
        if reply then error("it replied to itself") end
        if err:kind() == "Unavailable" then process.receive("0ms") else
            fits("call_itself", reply, err, "Timeout")
        end
    end
end

-- Spawns.

local function fork(how, name)
    while true do
        for _ = 1, 2 do
            local pid, err = process[how]("test:" .. name, CROWD)
            if not pid then fits(name, pid, err, "Unavailable") end
        end
        require("time").sleep("20ms")
    end
end

function fork_plain() fork("spawn", "fork_plain") end
function fork_linked() fork("spawn_linked", "fork_linked") end
function fork_monitored() fork("spawn_monitored", "fork_monitored") end

function exec_itself()
    local depth, err = process.exec("test:exec_itself", CROWD)
    if depth then return depth + 1 end
    fits("exec_itself", depth, err, "Unavailable")
    return 1
end

function exec_deep()
    local depth = must(process.exec("test:exec_itself", CROWD))
    if depth < 10 then error("only " .. depth .. " deep") end
    return "done"
end

-- The results of a megabyte each come while nobody looks.
function results_unread()
    for _ = 1, 400 do
        coroutine.spawn(function()
            for _ = 1, 4 do process.exec("test:large", WIDE) end
        end)
    end
    require("time").sleep("1ms")
    while true do end
end

-- The same, as events.
function exits_unread()
    local lost, whole = 0, 0
    for _ = 1, 20 do
        for _ = 1, 10 do must(process.spawn_monitored("test:large", WIDE)) end
        require("time").sleep("20ms")
    end
    for _ = 1, 200 do
        local event = process.receive("10s")
        if not event then error("an event is missing") end
        if event.value then whole = whole + 1 else
            fits("exits_unread", event.value, event.error, "ResourceExhausted")
            lost = lost + 1
        end
    end
    if lost < 100 or whole < 60 then error(lost .. " are lost, " .. whole .. " are there") end
    return "done"
end

function first_messages()
    local builder = process.with_message("first", 0)
    for i = 2, 1024 do builder = builder:with_message("first", i) end
    local done, message = pcall(function() return builder:with_message("first", 1025) end)
    if done then error("a message too many") end
    if not tostring(message):find("1024", 1, true) then error(message) end
    -- Its mailbox holds fewer.
    local pid, err = builder:spawn("test:small_mailbox", CROWD)
    fits("first_messages", pid, err, "Unavailable")
    must(builder:spawn("test:sleeps_deaf", CROWD))
    return "done"
end

function restart_for_ever()
    process.set_options({ trap_links = true })
    while true do
        local pid, err = process.spawn_linked("test:fails", CROWD)
        if pid then process.receive() else fits("restart", pid, err, "Unavailable") end
    end
end

-- Links and monitors.

function monitor_storm()
    local target = start("test:sleeps_deaf")
    for _ = 1, 65536 do must(process.monitor(target)) end
    local done, err = process.monitor(target)
    fits("a monitor too many", done, err, "ResourceExhausted")
    must(process.terminate(target))
    local found = count(process.event.EXIT, 1000, "10s")
    if found ~= 1000 then error(found .. " events came") end
    return "done"
end

function monitor_dead()
    local gone = dead()
    for _ = 1, 65536 do must(process.monitor(gone)) end
    local done, err = process.monitor(gone)
    fits("a monitor too many", done, err, "ResourceExhausted")
    local pid, err = process.spawn_monitored("test:value", CROWD, "x")
    fits("a spawn too many", pid, err, "ResourceExhausted")
    local linked, err = process.link("neighbour")
    fits("a link too many", linked, err, "ResourceExhausted")
    return "done"
end

function monitor_flap()
    while true do
        must(process.monitor("neighbour"))
        must(process.unmonitor("neighbour"))
    end
end

function link_flap()
    local target = start("test:sleeps_deaf")
    while true do
        must(process.link(target))
        must(process.unlink(target))
    end
end

function link_dying()
    process.set_options({ trap_links = true })
    for i = 1, 200 do
        local pid = start("test:fails")
        must(process.link(pid))
        local found = count(process.event.LINK_DOWN, 1, "10s")
        if found ~= 1 then error("no event came of link " .. i) end
    end
    if process.receive("5ms") then error("an event too many") end
    return "done"
end

function link_chain()
    process.set_options({ trap_links = true })
    must(process.spawn_linked("test:chained", CROWD, 60))
    local event = process.receive("20s")
    if event.kind ~= process.event.LINK_DOWN then error(event.kind) end
    if not event.error:message():find("the end of the chain", 1, true) then error(event.error) end
    if #event.error:message() > 300 then error("the text grew: " .. event.error:message()) end
    return "done"
end

function link_mesh()
    local size = 500
    local pids = {}
    for i = 1, size do
        pids[i] = must(process.with_message("pids", pids)
            :spawn_monitored("test:meshed", WIDE))
    end
    for i = 1, size do
        if process.receive("60s").topic ~= "meshed" then error("it ended too early") end
    end
    must(process.send(pids[size], "end"))
    local found = count(process.event.EXIT, size, "60s")
    if found ~= size then error(found .. " ended") end
    return "done"
end

function trap_flap()
    must(process.spawn_linked("test:fails", CROWD))
    while true do
        must(process.set_options({ trap_links = true }))
        must(process.set_options({ trap_links = false }))
        local pid, err = process.spawn_linked("test:fails", CROWD)
        if not pid then fits("trap_flap", pid, err, "Unavailable") end
    end
end

function options_flap()
    while true do
        must(process.set_options({ trap_links = true, upgradable = true }))
        must(process.set_options({ trap_links = false, upgradable = false }))
    end
end

function cancel_storm()
    local reason = ("x"):rep(60000)
    while true do must(process.cancel("neighbour", "60s", reason)) end
end

-- Names and topics.

function squat()
    local names = process.registry
    for i = 1, 1024 do must(names.register("squat" .. i .. ("x"):rep(240))) end
    local done, err = names.register("one too many")
    fits("a name too many", done, err, "ResourceExhausted")
    done, err = names.register(("x"):rep(60000))
    fits("a long name", done, err, "Invalid")
    done, err = names.register("neighbour")
    fits("the name of another", done, err, "AlreadyExists")
    done, err = names.register("neighbour", process.pid())
    fits("the name of another", done, err, "AlreadyExists")
    done, err = names.unregister("neighbour")
    fits("the name of another", done, err, "PermissionDenied")
    done, err = process.with_name("neighbour"):spawn("test:value", CROWD, "x")
    fits("the name of another", done, err, "AlreadyExists")
    return "done"
end

function name_flap()
    local names = process.registry
    while true do
        must(names.register("flaps"))
        must(names.unregister("flaps"))
    end
end

function listen_storm()
    local topic = ("x"):rep(1016)
    for i = 1, 1024 do process.listen(("%s%08d"):format(topic, i)) end
    local done, channel, err = pcall(process.listen, "one too many")
    if done and channel then error("a topic too many: " .. tostring(err)) end
    while true do
        process.send(process.pid(), topic .. "00001024", 1)
        process.receive("0ms")
    end
end

-- Upgrades.

function upgrade_loop(times)
    if not process.registry.lookup("upgraded") then
        must(process.registry.register("upgraded"))
    end
    process.upgrade(nil, (times or 0) + 1, mib())
end

function upgrade_trap() process.upgrade("test:traps") end
function upgrade_missing() process.upgrade("test:missing") end
function upgrade_wrong_hash() process.upgrade("test:wrong_hash") end
function upgrade_wrong_args() process.upgrade("test:compute", "no number") end

-- Types and sources.

type Tree = { left?: Tree, right?: Tree, value: integer }
type Deep = { [string]: Deep }
type Wide = { { { { string } } } }

function types()
    local deep = { value = 1 }
    for _ = 1, 100000 do deep = { left = deep, value = 1 } end
    local fitting, err = Tree:is(deep)
    if fitting or not tostring(err):find("nests too deeply", 1, true) then
        error("deep: " .. tostring(err))
    end
    local round = {}
    round.x, round.y = round, round
    if not Deep:is(round) then error("a circle does not fit") end
    local wide = {}
    for i = 1, 300 do wide[i] = wide end
    if Wide:is(wide) then error("a list of lists for ever is a list of strings") end
    local shared = { value = 1 }
    for _ = 1, 60 do shared = { left = shared, right = shared, value = 1 } end
    Tree:is(shared)
    return "done"
end

function type_sources()
    local function bad(what, source)
        local made, message = load(source)
        if made then error(what .. ": it was compiled") end
        if #message > 4096 then error(what .. ": a message of " .. #message .. " bytes") end
    end
    for _, opening in ipairs({ "(", "{", "[", "{{", "a(", "function() ", "local x: {", "f<f<" }) do
        bad(opening, "return " .. opening:rep((4 << 20) // #opening))
        bad(opening, "type X = " .. opening:rep((4 << 20) // #opening))
    end
    bad("arrows", "type X = " .. ("() -> "):rep(500000))
    bad("optional", "type X = string" .. ("?"):rep(4 << 20) .. " !")
    local union = {}
    for i = 1, 20000 do union[i] = '"' .. i .. '"' end
    union = table.concat(union, " | ")
    local made, message = load("type X = " .. union .. "\nreturn X:is('20001')")
    if made and made() then error("a value that is not in a union fits") end
    return "done"
end

-- What they meet.

function value(text) return text end
function large() return mib() end
function fails() error("it fails") end

function sleeps_deaf()
    process.events():receive()
    require("time").sleep("1h")
end

function small_mailbox() process.receive() end

function chained(more)
    if more == 0 then
        require("time").sleep("20ms")
        error("the end of the chain")
    end
    must(process.spawn_linked("test:chained", CROWD, more - 1))
    process.receive()
end

function meshed()
    local first = process.receive()
    for _, pid in ipairs(first.payload) do must(process.link(pid)) end
    process.send(first.from, "meshed")
    if process.receive().topic == "end" then
        error(errors.new({ message = "the end of the mesh", details = { large = mib() } }))
    end
end

function replies_often()
    local refused = 0
    while true do
        local m = process.receive()
        if m.topic == "count" then process.send(m.from, "reply", refused) else
            process.send(m.from, "reply", m.payload)
            for _ = 1, 20 do
                local sent, err = process.send(m.from, "reply", "late")
                fits("a second reply", sent, err, "NotFound")
                refused = refused + 1
            end
        end
    end
end

function replies_large()
    while true do process.send(process.receive().from, "reply", mib()) end
end
