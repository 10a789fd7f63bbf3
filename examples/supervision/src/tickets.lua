-- A worker: hands out tickets 1, 2, 3, … and fails when it is asked to.

local process = require("process")

local function main()
    local ticket = 0
    while true do
        local event = process.receive()
        if event.type == "CANCEL" then
            return
        elseif event.topic == "next" then
            ticket = ticket + 1
            process.send(event.from, "next", ticket)
        elseif event.topic == "crash" then
            error("tickets fails, as asked", 0)
        end
    end
end

return { main = main }
