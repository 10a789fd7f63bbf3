local function main()
    local process = require("process")

    -- Spawn with monitoring
    local pid, err = process.spawn_monitored(
        "myns:compute_worker",   -- entry ID
        "myns:processes",        -- process group
        6, 7                     -- arguments passed to the WASM function
    )

    if err then
        error("spawn failed: " .. tostring(err))
    end

    -- Wait for the process to complete
    local events = process.events()
    local event = events:receive()
    if event and event.kind == process.event.EXIT then
        local result = event.result.value  -- return value from the WASM function
        print(result)
    end
end

return { main = main }
