-- A supervisor: a process that keeps others running.
--
--   supervisor.run {
--       strategy = "rest_for_one",           -- or one_for_one, one_for_all
--       max_restarts = 3, within = "10s",    -- at one more it gives up and fails
--       children = { { name = "a", entry = "ns:a", host = "ns:processes", args = { 1 } } },
--   }
--
-- Children are started in order and stopped in reverse. They are linked with it, so that none
-- outlives its bad end, and monitored, so that it hears how each of them ended.

local process = require("process")
local time = require("time")

-- The first and the last of the children that are started anew when one has failed.
local strategies = {
    one_for_one = function(index, _) return index, index end,
    rest_for_one = function(index, count) return index, count end,
    one_for_all = function(_, count) return 1, count end,
}

local function run(spec)
    local affected = assert(strategies[spec.strategy], "no such strategy")
    local children = spec.children
    local window = time.parse_duration(spec.within)
    local restarts = {}    -- when, the oldest first
    local linked = {}      -- the PIDs of children whose LINK_DOWN may still come
    local waiting = {}     -- events that came while a child was being stopped

    -- Where a name is taken it waits a while: a supervisor that was terminated leaves linked
    -- children behind that are about to end, and may have been started anew before they have.
    local function start_child(child)
        local pid, err
        for _ = 1, 200 do
            pid, err = process.with_name(child.name)
                :spawn_linked_monitored(child.entry, child.host, table.unpack(child.args or {}))
            if pid or err:kind() ~= "AlreadyExists" then break end
            time.sleep("5ms")
        end
        return pid, err
    end

    local function ended(child, event)
        if not event.error then linked[child.pid] = nil end
        child.pid = nil
    end

    -- Any of them may end by itself meanwhile, or have done so while others were stopped.
    local function stop(first, last)
        local function take(event)
            for index = first, last do
                local child = children[index]
                if event.type == "EXIT" and child.pid == event.from then
                    return ended(child, event)
                end
            end
            waiting[#waiting + 1] = event
        end
        local before = waiting
        waiting = {}
        for _, event in ipairs(before) do take(event) end
        for index = last, first, -1 do
            local child = children[index]
            if child.pid then process.cancel(child.pid, "2s", "its supervisor stops it") end
            while child.pid do take(process.receive()) end
        end
    end

    -- Stops all children first, so that whoever starts this process anew finds their names free.
    local function give_up(err)
        stop(1, #children)
        error(err, 0)
    end

    local function start(first, last)
        for index = first, last do
            local child = children[index]
            local pid, err = start_child(child)
            if not pid then give_up(err) end
            child.pid, linked[pid] = pid, true
        end
    end

    local function count_restart(child, cause)
        local now = time.now():unix_nano()
        while restarts[1] and restarts[1] < now - window:nanoseconds() do
            table.remove(restarts, 1)
        end
        if #restarts >= spec.max_restarts then
            give_up(child.name .. " fails too often: " .. tostring(cause))
        end
        restarts[#restarts + 1] = now
    end

    process.set_options({ trap_links = true })
    start(1, #children)
    while true do
        local event = table.remove(waiting, 1) or process.receive()
        if event.type == "CANCEL" then
            return stop(1, #children)
        elseif event.type == "LINK_DOWN" then
            -- Of a child the EXIT says the same; of anybody else it ends this process, too.
            if not linked[event.from] then give_up(event.error) end
            linked[event.from] = nil
        elseif event.type == "EXIT" then
            for index, child in ipairs(children) do
                if child.pid == event.from then
                    ended(child, event)
                    if event.error then
                        print(child.name .. " is started anew: " .. tostring(event.error))
                        count_restart(child, event.error)
                        local first, last = affected(index, #children)
                        stop(first, last)
                        start(first, last)
                    end
                    break
                end
            end
        end
    end
end

return { run = run }
