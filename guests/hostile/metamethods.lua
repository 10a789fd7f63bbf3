-- Busy inside a metamethod that is called by a comparison in a sort in a coroutine.
function main()
  local busy = setmetatable({}, { __lt = function()
    while true do
    end
  end })
  coroutine.wrap(function()
    table.sort({ busy, busy, busy })
  end)()
end
