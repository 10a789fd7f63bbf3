-- Channels of one process. Called with the functions of `channel.rs`; returns the module's
-- table and the makers of channels that are fed from outside.
--
-- A waiter is one case of a thread's selection. All cases of a selection share `sel`, which
-- names the thread; `sel.done` is the case that was served. Who serves a case gives the
-- value directly and wakes the thread. A channel that is fed from outside (mailbox, clock)
-- is looked at again by whoever waits on it, after each wake.

local sys = ...
local park, wake, task, take, now, fail = sys.park, sys.wake, sys.task, sys.take, sys.now, sys.fail
local getmetatable, setmetatable, type, math_type = sys.getmetatable, sys.setmetatable, sys.type, sys.math_type

local Channel = { __name = "channel" }
Channel.__index = Channel

-- Queues of waiters: first in, first out; what is served or given up is skipped.

local function queue()
    return { first = 1, last = 0, gone = 0 }
end

local function push(q, waiter)
    q.last = q.last + 1
    q[q.last] = waiter
end

local function pop(q)
    while q.first <= q.last do
        local waiter = q[q.first]
        q[q.first] = nil
        q.first = q.first + 1
        if not waiter.sel.done then
            return waiter
        end
        q.gone = q.gone > 0 and q.gone - 1 or 0
    end
    q.first, q.last, q.gone = 1, 0, 0
end

-- Takes out the waiters that were given up, once they are as many as the others.
local function tidy(q)
    q.gone = q.gone + 1
    if q.gone * 2 < q.last - q.first + 1 then
        return
    end
    local to = q.first
    for from = q.first, q.last do
        local waiter = q[from]
        q[from] = nil
        if not waiter.sel.done then
            q[to] = waiter
            to = to + 1
        end
    end
    q.last, q.gone = to - 1, 0
end

local function serve(waiter, value, ok)
    local sel = waiter.sel
    sel.done, sel.value, sel.ok = waiter, value, ok
    wake(sel.task)
end

-- What a channel that is fed from outside has: ready, value.
local function look(ch)
    if ch.source then
        return take(ch.source, ch.topic)
    end
    local due = ch.due
    if due then
        local at, wall = now()
        if at >= due then
            local period = ch.period
            ch.due = period and due + period * ((at - due) // period + 1)
            return true, wall
        end
    end
    return false
end

-- ready, value, ok
local function try_receive(ch)
    if ch.count > 0 then
        local value = ch[ch.first]
        ch[ch.first] = nil
        ch.first = ch.first + 1
        local sender = pop(ch.senders)
        if sender then
            ch[ch.first + ch.count - 1] = sender.value
            serve(sender, nil, true)
        else
            ch.count = ch.count - 1
        end
        return true, value, true
    end
    local sender = pop(ch.senders)
    if sender then
        serve(sender, nil, true)
        return true, sender.value, true
    end
    if ch.outside then
        local ready, value = look(ch)
        if ready then
            return true, value, true
        end
    end
    if ch.closed then
        return true, nil, false
    end
    return false
end

-- Whether it went without waiting.
local function try_send(ch, value)
    if ch.closed then
        fail("send on a closed channel")
    elseif ch.outside then
        fail("nothing can be sent on this channel: the runtime feeds it")
    end
    local receiver = pop(ch.receivers)
    if receiver then
        serve(receiver, value, true)
        return true
    end
    if ch.count < ch.capacity then
        ch[ch.first + ch.count] = value
        ch.count = ch.count + 1
        return true
    end
    return false
end

local function check(ch, method)
    if getmetatable(ch) ~= Channel then
        fail("call it on a channel, as ch:" .. method .. "(), not on a " .. type(ch))
    end
end

local function make(capacity)
    return setmetatable({
        capacity = capacity, first = 1, count = 0, closed = false,
        receivers = queue(), senders = queue(),
    }, Channel)
end

function Channel:receive()
    check(self, "receive")
    local ready, value, ok = try_receive(self)
    if ready then
        return value, ok
    end
    local sel = { task = task() }
    local waiter = { sel = sel }
    push(self.receivers, waiter)
    while true do
        park(self.lanes or 0, self.due)
        if sel.done then
            return sel.value, sel.ok
        end
        if self.outside then
            ready, value, ok = try_receive(self)
            if ready then
                sel.done = waiter
                tidy(self.receivers)
                return value, ok
            end
        end
    end
end

function Channel:send(value)
    check(self, "send")
    if try_send(self, value) then
        return true
    end
    local sel = { task = task() }
    push(self.senders, { sel = sel, value = value })
    repeat
        park(0)
    until sel.done
    if not sel.ok then
        fail("send on a closed channel")
    end
    return true
end

function Channel:close()
    check(self, "close")
    if self.closed then
        fail("the channel is closed already")
    end
    self.closed = true
    for waiter in pop, self.receivers do
        serve(waiter, nil, false)
    end
    for waiter in pop, self.senders do
        serve(waiter, nil, false)
    end
end

function Channel:case_receive()
    check(self, "case_receive")
    return { channel = self, receives = true }
end

function Channel:case_send(value)
    check(self, "case_send")
    return { channel = self, value = value }
end

function Channel:__tostring()
    return ("channel(%d/%d)"):format(self.count, self.capacity)
end
Channel.__metatable = Channel

local function result(case, value, ok)
    return { channel = case.channel, value = value, ok = ok }
end

-- Where the next selection begins to look, so that no case starves the others.
local turn = 0

local function try_cases(cases, count)
    turn = turn + 1
    for offset = 0, count - 1 do
        local case = cases[(turn + offset) % count + 1]
        if case.receives then
            local ready, value, ok = try_receive(case.channel)
            if ready then
                return result(case, value, ok)
            end
        elseif try_send(case.channel, case.value) then
            return result(case, nil, true)
        end
    end
end

local module = {}

function module.new(capacity)
    capacity = capacity or 0
    if math_type(capacity) ~= "integer" or capacity < 0 then
        fail("channel.new takes the number of values that may wait")
    end
    return make(capacity)
end

function module.select(cases)
    if type(cases) ~= "table" then
        fail("channel.select takes a table of cases")
    end
    local count = #cases
    for position = 1, count do
        local case = cases[position]
        if type(case) ~= "table" or getmetatable(case.channel) ~= Channel then
            fail("channel.select: case " .. position .. " is none; write ch:case_receive() or ch:case_send(v)")
        end
    end
    local chosen = count > 0 and try_cases(cases, count)
    if chosen then
        return chosen
    end
    if cases.default then
        return { ok = false, default = true }
    end
    local sel = { task = task() }
    for position = 1, count do
        local case = cases[position]
        local ch = case.channel
        push(case.receives and ch.receivers or ch.senders, { sel = sel, value = case.value, case = case })
    end
    local outcome
    repeat
        local lanes, due = 0, nil
        for position = 1, count do
            local ch = cases[position].channel
            if ch.outside and cases[position].receives then
                lanes = lanes | (ch.lanes or 0)
                if ch.due and (not due or ch.due < due) then
                    due = ch.due
                end
            end
        end
        park(lanes, due)
        if not sel.done then
            for position = 1, count do
                local case = cases[position]
                if case.receives and case.channel.outside then
                    local ready, value, ok = try_receive(case.channel)
                    if ready then
                        sel.done = case
                        outcome = result(case, value, ok)
                        break
                    end
                end
            end
        end
    until sel.done
    for position = 1, count do
        local case = cases[position]
        tidy(case.receives and case.channel.receivers or case.channel.senders)
    end
    if outcome then
        return outcome
    end
    local case = sel.done.case
    if not case.receives and not sel.ok then
        fail("send on a closed channel")
    end
    return result(case, sel.value, sel.ok)
end

-- A channel of one kind of mail.
local function mail(source, topic, lanes)
    local ch = make(0)
    ch.outside, ch.source, ch.topic, ch.lanes = true, source, topic, lanes
    return ch
end

-- A channel that the clock feeds, at `due` and then every `period`.
local function clock(due, period)
    local ch = make(0)
    ch.outside, ch.due, ch.period = true, due, period
    return ch
end

local function reset(ch, due, period)
    ch.due, ch.period = due, period
    -- Who waits has asked for the time before.
    for position = ch.receivers.first, ch.receivers.last do
        wake(ch.receivers[position].sel.task)
    end
end

return module, mail, clock, reset
