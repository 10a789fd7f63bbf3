local process = require("process")
local time = require("time")

-- Spawns a WebAssembly process and waits for its result. What this function returns is
-- printed; an integer or `false` would be the exit status.
local function main(name)
    local pid, err = process.spawn_monitored("app:greeter", "app:processes", name or "World")
    if err then
        error("spawn failed: " .. tostring(err))
    end

    local event = process.receive(time.seconds(10))
    if not event or event.type ~= "EXIT" then
        error("the greeter did not answer")
    end
    if event.error then
        error("the greeter failed: " .. tostring(event.error))
    end
    return event.value
end

return { main = main }
