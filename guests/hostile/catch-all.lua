-- A busy loop that catches whatever would end it.
function main()
  while true do
    pcall(function()
      while true do
      end
    end)
  end
end
