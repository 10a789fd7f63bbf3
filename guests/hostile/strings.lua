-- A string that doubles itself until there is no memory, and then again.
function main()
  while true do
    pcall(function()
      local text = "x"
      while true do
        text = text .. text
      end
    end)
  end
end
