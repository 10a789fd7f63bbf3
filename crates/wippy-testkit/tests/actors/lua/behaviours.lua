-- The behaviours of `table.rs` and the entries that they meet, in Lua.

local time = require("time")

-- A PID of nobody: that of a process that has ended.
local function dead()
    local pid = assert(process.spawn_monitored("value", nil, "gone"))
    assert(process.receive("5s").type == "EXIT")
    return pid
end

-- The next event or message, of which there must be one.
local function next_one(type, from)
    local one = assert(process.receive("5s"), "nothing comes")
    assert(one.type == type, "not a " .. type .. " but a " .. one.type)
    assert(from == nil or one.from == from, "from " .. tostring(one.from))
    return one
end

local function nothing_comes(span)
    local one = process.receive(span or "20ms")
    assert(one == nil, one and one.type)
end

-- The error of a call that fails, which must be of a kind.
local function fails_as(kind, value, err)
    assert(value == nil, "it did not fail")
    assert(err:kind() == kind, err:kind() .. ": " .. tostring(err))
    return err
end

local function has(err, text)
    assert(tostring(err):find(text, 1, true), tostring(err))
end

-- What behaviours meet.

function echo()
    while true do
        local m = process.receive()
        if m.topic == "stop" then
            return m.payload
        elseif m.topic == "fail" then
            error(m.payload, 0)
        elseif m.type == "MESSAGE" then
            process.send(m.from, m.topic, table.unpack(m.payloads))
        end
    end
end

function value(text)
    return text
end

function fails(text)
    error(text, 0)
end

function sleeps()
    while true do
        time.sleep("1h")
    end
end

function obeys()
    while true do
        local event = process.receive()
        if event.type == "CANCEL" then
            return event.reason
        end
    end
end

function counts()
    local sum = 0
    while true do
        local m = process.receive()
        if m.topic == "add" then
            sum = sum + m.payload
            process.send(m.from, "sum", sum)
        end
    end
end

function late()
    local m = process.receive()
    time.sleep("60ms")
    local _, err = process.send(m.from, "reply", "too late")
    process.send(m.payload, "outcome", err and err:kind() or "")
end

function links(entry, text, to)
    local pid = assert(process.spawn_linked_monitored(entry, nil, text))
    local event = process.receive()
    assert(event.type == "EXIT" and event.from == pid, event.type)
    process.send(to, "heard")
    return echo()
end

function executes(entry, text)
    local result, err = process.exec(entry, nil, text)
    if err then
        error(err)
    end
    return result
end

function named(name)
    assert(process.registry.register(name))
    return echo()
end

function tells(to, count)
    for n = 1, count do
        assert(process.send(to, "tell", n))
    end
end

function carries(pid, name)
    assert(process.pid() == pid, "another PID")
    assert(process.registry.lookup(name) == pid, "without its name")
    local topics = {}
    for n = 1, 3 do
        topics[n] = process.receive("5s").topic
    end
    return table.concat(topics, ",")
end

function tries_upgrade(text)
    local _, err = process.upgrade(nil, text)
    return err:kind()
end

-- Messages.

function echo_order()
    local pid = assert(process.spawn("echo"))
    for from = 1, 100, 50 do
        for n = from, from + 49 do
            assert(process.send(pid, "n", n, { -n }))
        end
        for n = from, from + 49 do
            local m = next_one("MESSAGE", pid)
            assert(m.topic == "n" and m.payload == n and m.payloads[2][1] == -n, m.payload)
        end
    end
    return "done"
end

function reply_to_call()
    local pid = assert(process.spawn("echo"))
    local text, list, last = process.call(pid, "sum", nil, "text", { 1, "two" }, 3.5)
    assert(text == "text" and list[1] == 1 and list[2] == "two" and last == 3.5, tostring(list))
    assert(process.registry.register("echoes", pid))
    assert(process.call("echoes", "sum", "5s", "by name") == "by name")
    -- Without a payload there is nothing, and no error.
    local nothing, err = process.call(pid, "sum")
    assert(nothing == nil and err == nil, tostring(err))
    nothing_comes()
    return "done"
end

function mailbox_full()
    local pid = assert(process.spawn("sleeps"))
    for _ = 1, 64 do
        assert(process.send(pid, "x"))
    end
    local err = fails_as("Unavailable", process.send(pid, "x"))
    assert(err:retryable() == true)
    has(err, "mailbox.capacity")
    return "done"
end

function message_too_large()
    local me = process.pid()
    local err = fails_as("ResourceExhausted", process.send(me, "x", ("x"):rep(2 << 20)))
    has(err, "mailbox.message_bytes")
    nothing_comes(0)
    return "done"
end

function order_before_exit()
    local pid = assert(process.spawn_monitored("tells", nil, process.pid(), 20))
    for n = 1, 20 do
        assert(next_one("MESSAGE", pid).payload == n)
    end
    next_one("EXIT", pid)
    return "done"
end

function receive_in_order_of_arrival()
    local me = process.pid()
    assert(process.send(me, "first"))
    assert(process.cancel(me, "1h", "why"))
    assert(process.send(me, "last"))
    assert(next_one("MESSAGE").topic == "first")
    assert(next_one("CANCEL", me).reason == "why")
    assert(next_one("MESSAGE").topic == "last")
    return "done"
end

function timeout()
    local early = time.after("15ms")
    nothing_comes("20ms")
    assert(channel.select { early:case_receive(), default = true }.channel == early)
    local events = process.events()
    local r = channel.select { events:case_receive(), time.after("20ms"):case_receive() }
    assert(r.channel ~= events)
    return "done"
end

function events_not_delayed_by_flood()
    local me, events = process.pid(), process.events()
    while process.send(me, "flood") do end
    local pid = assert(process.spawn_monitored("value", nil, "here"))
    local event = events:receive()
    assert(event.type == "EXIT" and event.from == pid and event.value == "here")
    return "done"
end

function state_kept_between_messages()
    local pid = assert(process.spawn("counts"))
    for n, sum in ipairs { 1, 3, 6 } do
        assert(process.send(pid, "add", n))
        local m = next_one("MESSAGE", pid)
        assert(m.topic == "sum" and m.payload == sum, m.payload)
    end
    return "done"
end

-- Monitors.

function monitor_normal()
    local pid = assert(process.spawn("echo"))
    assert(process.monitor(pid))
    assert(process.send(pid, "stop", "value"))
    local event = next_one("EXIT", pid)
    assert(event.kind == process.event.EXIT and event.value == "value" and event.error == nil)
    assert(event.result.value == "value" and math.type(event.at) == "integer")
    nothing_comes()
    return "done"
end

function monitor_error()
    local pid = assert(process.spawn("echo"))
    assert(process.monitor(pid))
    assert(process.send(pid, "fail", "it broke"))
    local event = next_one("EXIT", pid)
    assert(event.value == nil and event.error == event.result.error)
    assert(event.error:kind() == "Internal")
    has(event.error, "it broke")
    nothing_comes()
    return "done"
end

function monitor_dead()
    local pid = dead()
    assert(process.monitor(pid))
    local event = next_one("EXIT", pid)
    assert(event.error:kind() == "Unavailable", event.error:kind())
    has(event.error, "there is no such process")
    nothing_comes()
    return "done"
end

function monitor_twice()
    local pid = assert(process.spawn_monitored("echo"))
    assert(process.monitor(pid))
    assert(process.send(pid, "stop"))
    next_one("EXIT", pid)
    next_one("EXIT", pid)
    nothing_comes()
    return "done"
end

function unmonitor()
    local pid = assert(process.spawn_monitored("echo"))
    assert(process.monitor(pid))
    assert(process.unmonitor(pid))
    assert(process.send(pid, "stop"))
    nothing_comes("50ms")
    return "done"
end

-- Links.

function link_bad_end()
    local pid = assert(process.spawn_monitored("links", nil, "fails", "it broke", process.pid()))
    local event = next_one("EXIT", pid)
    local from = event.error:details().from
    assert(from:match("^{.*@.*|.*}$") and from ~= pid, from)
    has(event.error, "it broke")
    return "done"
end

function link_normal_end()
    local pid = assert(process.spawn("links", nil, "value", "well", process.pid()))
    assert(next_one("MESSAGE", pid).topic == "heard")
    assert(process.call(pid, "still", nil, "there") == "there")
    return "done"
end

function link_trapped()
    assert(process.set_options { trap_links = true })
    assert(process.get_options().trap_links)
    local pid = assert(process.spawn_linked("echo"))
    assert(process.link(pid))
    assert(process.send(pid, "fail", "it broke"))
    local event = next_one("LINK_DOWN", pid)
    assert(event.kind == process.event.LINK_DOWN)
    has(event.error, "it broke")
    nothing_comes()
    return "done"
end

function link_dead()
    local pid = dead()
    assert(process.set_options { trap_links = true })
    assert(process.link(pid))
    local event = next_one("LINK_DOWN", pid)
    assert(event.error:kind() == "Unavailable", event.error:kind())
    has(event.error, "there is no such process")
    nothing_comes()
    return "done"
end

function link_self()
    assert(process.link(process.pid()))
    nothing_comes()
    return "done"
end

function unlink()
    local pid = assert(process.spawn_linked_monitored("echo"))
    assert(process.unlink(pid))
    assert(process.send(pid, "fail", "it broke"))
    next_one("EXIT", pid)
    nothing_comes("50ms")
    return "done"
end

-- Spawns.

function spawn_variants()
    assert(process.set_options { trap_links = true })
    assert(process.spawn("fails", "others", "it broke"))
    nothing_comes("50ms")
    local pid = assert(process.spawn_monitored("fails", "others", "it broke"))
    assert(pid:find("test:others", 1, true), pid)
    has(next_one("EXIT", pid).error, "it broke")
    pid = assert(process.spawn_linked("fails", "others", "it broke"))
    has(next_one("LINK_DOWN", pid).error, "it broke")
    pid = assert(process.spawn_linked_monitored("fails", "others", "it broke"))
    local one, other = process.receive("5s"), process.receive("5s")
    if one.type == "LINK_DOWN" then
        one, other = other, one
    end
    assert(one.type == "EXIT" and one.from == pid and other.type == "LINK_DOWN" and other.from == pid)
    for _, how in ipairs { "spawn", "spawn_monitored", "spawn_linked", "spawn_linked_monitored" } do
        has(fails_as("NotFound", process[how]("missing")), "test:missing")
    end
    nothing_comes()
    return "done"
end

function spawn_named_conflict()
    local pid = assert(process.with_name("taken"):spawn("echo"))
    assert(process.registry.lookup("taken") == pid)
    local err = fails_as("AlreadyExists", process.with_name("taken"):spawn_monitored("echo"))
    has(err, pid)
    assert(process.registry.lookup("taken") == pid)
    nothing_comes()
    return "done"
end

function spawn_messages_first()
    local pid = process.with_message("a", 1):with_message("b", 2, "two"):spawn("echo")
    assert(process.send(pid, "c", 3))
    for n, topic in ipairs { "a", "b", "c" } do
        local m = next_one("MESSAGE", pid)
        assert(m.topic == topic and m.payload == n and (n ~= 2 or m.payloads[2] == "two"), m.topic)
    end
    return "done"
end

function exec_value()
    assert(process.exec("value", nil, "well") == "well")
    assert(process.exec("value", "others", "well") == "well")
    nothing_comes(0)
    return "done"
end

function exec_error()
    has(fails_as("Internal", process.exec("fails", nil, "it broke")), "it broke")
    fails_as("Internal", process.exec("traps"))
    has(fails_as("NotFound", process.exec("missing")), "test:missing")
    -- Lua takes any arguments.
    local value, err = process.exec("value")
    assert(value == nil and (err == nil or err:kind() == "Invalid"), tostring(err))
    return "done"
end

function exec_dies_with_caller()
    local pid = assert(process.spawn_monitored("executes", nil, "named", "executed"))
    local inner
    for _ = 1, 500 do
        inner = process.registry.lookup("executed")
        if inner then
            break
        end
        time.sleep("10ms")
    end
    assert(process.monitor(assert(inner, "it does not come")))
    assert(process.terminate(pid))
    local gone = { [next_one("EXIT").from] = true, [next_one("EXIT").from] = true }
    assert(gone[pid] and gone[inner])
    return "done"
end

-- Names.

function names()
    local me, registry = process.pid(), process.registry
    assert(registry.register("mine"))
    assert(registry.register("mine"))
    assert(registry.lookup("mine") == me)
    assert(process.send("mine", "to", "me"))
    assert(next_one("MESSAGE", me).payload == "me")
    local other = assert(process.with_name("theirs"):spawn("echo"))
    has(fails_as("AlreadyExists", registry.register("theirs")), other)
    has(fails_as("AlreadyExists", registry.register("mine", other)), me)
    fails_as("PermissionDenied", registry.unregister("theirs"))
    assert(registry.register("second", other))
    assert(registry.lookup("second") == other)
    assert(registry.unregister("mine"))
    has(fails_as("NotFound", registry.lookup("mine")), "mine")
    fails_as("NotFound", registry.unregister("mine"))
    fails_as("NotFound", process.send("mine", "to"))
    for _, bad in ipairs { "", "{x", "a\nb", ("x"):rep(256) } do
        fails_as("Invalid", registry.register(bad))
    end
    return "done"
end

function names_freed_before_exit()
    local pid = assert(process.with_name("freed"):spawn_monitored("echo"))
    assert(process.send("freed", "stop"))
    next_one("EXIT", pid)
    assert(process.registry.register("freed"))
    return "done"
end

-- Ending others.

function cancel_obeyed()
    local pid = assert(process.spawn_monitored("obeys"))
    assert(process.cancel(pid, "5s", "enough"))
    local event = next_one("EXIT", pid)
    assert(event.value == "enough", tostring(event.error))
    return "done"
end

function cancel_deadline()
    local pid = assert(process.spawn_monitored("sleeps"))
    assert(process.cancel(pid, "20ms", "enough"))
    local event = next_one("EXIT", pid)
    assert(event.error:kind() == "Canceled", event.error:kind())
    has(event.error, "enough")
    return "done"
end

function terminate_other()
    local pid = assert(process.spawn_monitored("sleeps"))
    assert(process.terminate(pid))
    local event = next_one("EXIT", pid)
    assert(event.error:kind() == "Canceled", event.error:kind())
    fails_as("NotFound", process.terminate(pid))
    fails_as("NotFound", process.cancel(pid))
    fails_as("NotFound", process.send(pid, "x"))
    return "done"
end

-- Calls.

function call_timeout()
    local pid = assert(process.spawn("sleeps"))
    has(fails_as("Timeout", process.call(pid, "x", "20ms")), "did not reply within 20ms")
    nothing_comes()
    return "done"
end

function call_target_dies()
    local pid = assert(process.spawn("echo"))
    has(fails_as("Unavailable", process.call(pid, "stop")), "ended before it replied")
    fails_as("NotFound", process.call(pid, "stop"))
    pid = assert(process.spawn("echo"))
    has(fails_as("Unavailable", process.call(pid, "fail", "5s", "it broke")), "it broke")
    nothing_comes()
    return "done"
end

function late_reply()
    local pid = assert(process.spawn("late"))
    fails_as("Timeout", process.call(pid, "x", "20ms", process.pid()))
    local m = next_one("MESSAGE", pid)
    assert(m.topic == "outcome" and m.payload == "NotFound", m.payload)
    nothing_comes()
    return "done"
end

-- Upgrade.

function upgrade_keeps_mailbox()
    local me = process.pid()
    assert(process.registry.register("kept"))
    for _, topic in ipairs { "a", "b", "c" } do
        assert(process.send(me, topic))
    end
    error(select(2, process.upgrade("carries", me, "kept")))
end

function upgrade_failed()
    error(select(2, process.upgrade("missing")))
end

function upgrade_refused_in_function()
    assert(require("funcs").call("tries_upgrade", "x") == "Invalid")
    return "done"
end

function outdated_heard()
    assert(process.set_options { upgradable = true })
    assert(process.registry.register("replace_me"))
    local event = next_one("OUTDATED", process.pid())
    assert(event.kind == process.event.OUTDATED)
    error(select(2, process.upgrade(nil, "new")))
end
