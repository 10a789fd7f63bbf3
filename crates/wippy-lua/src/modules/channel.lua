-- Channels of one process. Called with the functions of `channel.rs`; returns the module's
-- table and the makers of channels that are fed from outside.
--
-- A waiter is one case of a thread's selection. All cases of a selection share `sel`, which
-- names the thread; `sel.done` is the case that was served. Who serves a case gives the
-- value directly and wakes the thread. A channel that is fed from outside (mailbox, clock)
-- is looked at again by whoever waits on it, after each wake; one that is fed once, by a call,
-- is fed like any other.
--
-- Scripts hold a channel as a userdata around its state, which they cannot reach: this code
-- is not preempted, so nobody else may say how long its loops are. For the same reason it
-- reads the tables of scripts through `sys` alone, which calls no metamethod, and uses no
-- global.

local sys = ...
local park, wake, task, take, now, fail = sys.park, sys.wake, sys.task, sys.take, sys.now, sys.fail
local wrap, state, cases_of, case_of = sys.wrap, sys.state, sys.cases_of, sys.case_of
local type, is_integer = sys.type, sys.is_integer

-- How many cases one selection may have: each of its looks is at all of them.
local CASES_MAX = 1000

local Channel = { __name = "channel", __metatable = false }
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

-- The state of the channel that a method was called on.
local function of(self, method)
    return state(self) or fail("call it on a channel, as ch:" .. method .. "(), not on a " .. type(self))
end

-- The channel for scripts, and its state.
local function make(capacity)
    local ch = {
        capacity = capacity, first = 1, count = 0, closed = false,
        receivers = queue(), senders = queue(),
    }
    return wrap(ch), ch
end

function Channel:receive()
    local ch = of(self, "receive")
    local ready, value, ok = try_receive(ch)
    if ready then
        return value, ok
    end
    local sel = { task = task() }
    local waiter = { sel = sel }
    push(ch.receivers, waiter)
    while true do
        park(ch.lanes or 0, ch.due)
        if sel.done then
            return sel.value, sel.ok
        end
        if ch.outside then
            ready, value, ok = try_receive(ch)
            if ready then
                sel.done = waiter
                tidy(ch.receivers)
                return value, ok
            end
        end
    end
end

function Channel:send(value)
    local ch = of(self, "send")
    if try_send(ch, value) then
        return true
    end
    local sel = { task = task() }
    push(ch.senders, { sel = sel, value = value })
    repeat
        park(0)
    until sel.done
    if not sel.ok then
        fail("send on a closed channel")
    end
    return true
end

function Channel:close()
    local ch = of(self, "close")
    if ch.closed then
        fail("the channel is closed already")
    end
    ch.closed = true
    for waiter in pop, ch.receivers do
        serve(waiter, nil, false)
    end
    for waiter in pop, ch.senders do
        serve(waiter, nil, false)
    end
end

function Channel:case_receive()
    of(self, "case_receive")
    return { channel = self, receives = true }
end

function Channel:case_send(value)
    of(self, "case_send")
    return { channel = self, value = value }
end

function Channel:__tostring()
    local ch = of(self, "__tostring")
    return "channel(" .. ch.count .. "/" .. ch.capacity .. ")"
end

local function result(case, value, ok)
    return { channel = case.channel, value = value, ok = ok }
end

-- Where the next look begins is drawn by lot, so that no case starves the others: taking
-- turns would, where the script calls in a rhythm of its own.
local lot = 1

local function try_cases(cases, count, outside)
    lot = lot * 6364136223846793005 + 1442695040888963407
    local start = (lot >> 33) % count
    for offset = 0, count - 1 do
        local case = cases[(start + offset) % count + 1]
        local ch = case.ch
        if outside and not ch.outside then
            -- Whoever feeds it wakes this thread.
        elseif case.receives then
            local ready, value, ok = try_receive(ch)
            if ready then
                return case, result(case, value, ok)
            end
        elseif not outside and try_send(ch, case.value) then
            return case, result(case, nil, true)
        end
    end
end

local module = {}

function module.new(capacity)
    capacity = capacity or 0
    if not is_integer(capacity) or capacity < 0 then
        fail("channel.new takes the number of values that may wait")
    end
    return (make(capacity))
end

function module.select(script_cases)
    local count, default = cases_of(script_cases)
    if not count then
        fail("channel.select takes a table of cases")
    elseif count > CASES_MAX then
        fail("channel.select takes at most " .. CASES_MAX .. " cases")
    end
    -- The cases as they are now, which are the waiters too.
    local cases = {}
    for position = 1, count do
        local ch, channel, receives, value = case_of(script_cases, position)
        if not ch then
            fail("channel.select: case " .. position .. " is none; write ch:case_receive() or ch:case_send(v)")
        end
        cases[position] = { ch = ch, channel = channel, receives = receives, value = value }
    end
    if count > 0 then
        local chosen, outcome = try_cases(cases, count, false)
        if chosen then
            return outcome
        end
    end
    if default then
        return { ok = false, default = true }
    end
    local sel = { task = task() }
    for position = 1, count do
        local case = cases[position]
        case.sel = sel
        push(case.receives and case.ch.receivers or case.ch.senders, case)
    end
    local outcome
    repeat
        local lanes, due = 0, nil
        for position = 1, count do
            local ch = cases[position].ch
            if ch.outside and cases[position].receives then
                lanes = lanes | (ch.lanes or 0)
                if ch.due and (not due or ch.due < due) then
                    due = ch.due
                end
            end
        end
        park(lanes, due)
        if not sel.done and count > 0 then
            sel.done, outcome = try_cases(cases, count, true)
        end
    until sel.done
    for position = 1, count do
        local case = cases[position]
        tidy(case.receives and case.ch.receivers or case.ch.senders)
    end
    if outcome then
        return outcome
    end
    local case = sel.done
    if not case.receives and not sel.ok then
        fail("send on a closed channel")
    end
    return result(case, sel.value, sel.ok)
end

-- A channel of one kind of mail.
local function mail(source, topic, lanes)
    local channel, ch = make(0)
    ch.outside, ch.source, ch.topic, ch.lanes = true, source, topic, lanes
    return channel
end

-- Closes one, be it that a script has: nothing comes there any more.
local function shut(channel)
    local ch = state(channel)
    ch.source, ch.closed, ch.lanes = nil, true, 0
    for waiter in pop, ch.receivers do
        serve(waiter, nil, false)
    end
end

-- A channel that the clock feeds, at `due` and then every `period`.
local function clock(due, period)
    local channel, ch = make(0)
    ch.outside, ch.clock, ch.due, ch.period = true, true, due, period
    return channel
end

-- Whether the clock was to feed it until now.
local function reset(channel, due, period)
    local ch = state(channel)
    if not (ch and ch.clock) then
        return false
    end
    local armed = ch.due ~= nil
    ch.due, ch.period = due, period
    -- Who waits has asked for the time before.
    for position = ch.receivers.first, ch.receivers.last do
        wake(ch.receivers[position].sel.task)
    end
    return armed
end

-- A channel that the runtime feeds once.
local function fed()
    local channel, ch = make(1)
    ch.outside = true
    return channel
end

-- Feeds it with a value, or with none, and closes it.
local function feed(channel, has_value, value)
    local ch = state(channel)
    if not ch or ch.closed then
        return
    end
    ch.closed = true
    local receiver = has_value and pop(ch.receivers)
    if receiver then
        serve(receiver, value, true)
    elseif has_value then
        ch[ch.first], ch.count = value, 1
    end
    for waiter in pop, ch.receivers do
        serve(waiter, nil, false)
    end
end

return module, mail, clock, reset, fed, feed, shut, Channel
