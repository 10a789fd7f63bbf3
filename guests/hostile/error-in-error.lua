-- Handlers of errors that raise errors, without an end.
function main()
  local function handler()
    error(setmetatable({}, { __tostring = function() error("in a name") end }))
  end
  while true do
    xpcall(error, handler)
    pcall(error, setmetatable({}, { __index = function() error("in a look") end }))
  end
end
