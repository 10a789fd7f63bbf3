-- Pattern matching that takes longer than the universe is old.
function main()
  local subject = ("a"):rep(40)
  local pattern = ("a*"):rep(20) .. "b"
  while true do
    subject:find(pattern)
  end
end
