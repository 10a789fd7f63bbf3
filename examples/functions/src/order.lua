local funcs = require("funcs")

local function main(item, count)
    local price, err = funcs.call("shop:price", { item = item, count = math.tointeger(tonumber(count)) })
    if err then
        print(err:kind() .. ": " .. err:message())
        return 1
    end
    print(price.cents .. " cents (" .. price.currency .. ")")
end

return { main = main }
