-- The behaviours of `table.rs` and the entries that they meet, in Lua.

local time = require("time")

function value(text)
  return text
end

function fails(text)
  error(text, 0)
end

function sleeps()
  while true do
    time.sleep("1h")
  end
end
