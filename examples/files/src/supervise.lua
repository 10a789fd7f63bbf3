local function main()
    local process = require("process")
    local time = require("time")

    local pid, err = process.spawn_monitored("myns:file_processor", "myns:processes")
    if err then
        error("spawn failed: " .. tostring(err))
    end

    local event = process.receive(time.seconds(30))
    if event and event.type == "EXIT" then
        print(event.value or event.error)
    end
end

return { main = main }
