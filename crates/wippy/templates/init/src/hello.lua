-- A command's arguments arrive as text. What it returns is printed; an integer or `false`
-- would be the exit status.
local function main(name)
    return "Hello, " .. (name or "World") .. "!"
end

return { main = main }
