local funcs = require("funcs")
local time = require("time")

local function main()
    -- The calls inherit the context of this process, and add a currency to it.
    local executor = funcs.new():with_context({ currency = "CHF" }):with_options({ timeout = "1s" })
    local orders = { { item = "apple", count = 2 }, { item = "pear", count = 3 }, { item = "plum", count = 1 } }

    local futures = {}
    for n, order in ipairs(orders) do
        futures[n] = assert(executor:async("shop:price", order))
    end

    for n, order in ipairs(orders) do
        -- A channel can be waited for together with others.
        local first = channel.select {
            futures[n]:channel():case_receive(),
            time.after("2s"):case_receive(),
        }
        if first.ok and first.channel == futures[n]:channel() then
            print(order.item .. ": " .. first.value.cents .. " " .. first.value.currency)
        else
            print(order.item .. ": " .. tostring(futures[n]:error()))
        end
    end
end

return { main = main }
