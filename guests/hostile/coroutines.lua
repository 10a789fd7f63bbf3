-- Coroutines that make coroutines and keep them all.
function main()
  local kept = {}
  local function another()
    kept[#kept + 1] = coroutine.create(another)
    coroutine.resume(kept[#kept])
  end
  while true do
    pcall(another)
    kept[#kept + 1] = coroutine.create(another)
  end
end
