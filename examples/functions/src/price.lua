local funcs = require("funcs")
local ctx = require("ctx")

local prices = { apple = 30, pear = 45 }

-- The price of an order in cents; the currency comes with the context of the call.
local function price(order)
    local each = prices[order.item]
    if not each then
        return nil, errors.new(errors.NOT_FOUND, "there is no " .. tostring(order.item))
    end
    local cents, err = funcs.call("shop:multiply", each, order.count)
    if err then
        return nil, err
    end
    return { cents = cents, currency = ctx.get("currency") or "EUR" }
end

return { price = price }
