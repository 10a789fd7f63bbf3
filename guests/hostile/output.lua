-- Lines for the log, without an end.
function main()
  while true do
    print(("x"):rep(1000))
  end
end
