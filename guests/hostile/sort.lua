-- A sort with an order that is none, and one that never ends.
function main()
  local list = {}
  for i = 1, 100000 do
    list[i] = i % 7
  end
  while true do
    pcall(table.sort, list, function(a, b)
      return true
    end)
    table.sort(list)
  end
end
