-- What functions of Lua's libraries do where it may take long: as Lua code, which gives way
-- like a script's own, and in which metamethods and comparisons may wait. Called with Lua's
-- own functions and `fail`, which raises a text with the position of the script's call;
-- returns a table. `long.rs` has checked the arguments.

local byte, sub, concat, utf8_len, pieces, sort_numbers, fail, next, set_metatable = ...

-- Bytes and elements that are left to one call of C.
local PIECE_BYTES = 65536
local PIECE_ELEMENTS = 1024

-- Elements that are sorted at once, if they are numbers.
local RANGE_MAX = 4096

-- Ranges below this are cut in the middle, larger ones somewhere in between.
local RANDOM_MIN = 100

-- The seed is the same for every process: whoever knows it can make a table that is sorted
-- slowly, which gives way all the same.
local seed = 88172645463325252

local function random(min, max)
    seed = seed ~ (seed << 13)
    seed = seed ~ (seed >> 7)
    seed = seed ~ (seed << 17)
    return min + (seed & 0x7fffffff) % (max - min + 1)
end

local function pivot_place(low, high, scattered)
    if not scattered or high - low < RANDOM_MIN then
        return (low + high) // 2
    end
    local quarter = (high - low) // 4
    return random(low + quarter, high - quarter)
end

-- Quicksort around the median of three. What is larger is done by the loop, so that calls
-- nest as deep as the logarithm of the length. Short ranges of numbers are sorted at once
-- for as long as all have been such.

local function sort(t, low, high, scattered, numbers)
    while low < high do
        if numbers and high - low < RANGE_MAX then
            if sort_numbers(t, low, high) then return end
            numbers = false
        end
        local first, last = t[low], t[high]
        if last < first then
            t[low], t[high] = last, first
            first, last = last, first
        end
        if high - low == 1 then return end
        local place = pivot_place(low, high, scattered)
        local pivot = t[place]
        if pivot < first then
            t[place], t[low] = first, pivot
            pivot = first
        elseif last < pivot then
            t[place], t[high] = last, pivot
            pivot = last
        end
        if high - low == 2 then return end
        local limit = high - 1
        t[place], t[limit] = t[limit], pivot
        local i, j = low, limit
        while true do
            i = i + 1
            local left = t[i]
            while left < pivot do
                if i == limit then fail("invalid order function for sorting") end
                i = i + 1
                left = t[i]
            end
            j = j - 1
            local right = t[j]
            while pivot < right do
                if j < i then fail("invalid order function for sorting") end
                j = j - 1
                right = t[j]
            end
            if j < i then
                t[limit], t[i] = left, t[limit]
                break
            end
            t[i], t[j] = right, left
        end
        local size = high - low
        if i - low < high - i then
            sort(t, low, i - 1, scattered, numbers)
            scattered = scattered or size // 128 > i - low
            low = i + 1
        else
            sort(t, i + 1, high, scattered, numbers)
            scattered = scattered or size // 128 > high - i
            high = i - 1
        end
    end
end

-- The same with a comparison of the script.

local function sort_by(t, low, high, less, scattered)
    while low < high do
        local first, last = t[low], t[high]
        if less(last, first) then
            t[low], t[high] = last, first
            first, last = last, first
        end
        if high - low == 1 then return end
        local place = pivot_place(low, high, scattered)
        local pivot = t[place]
        if less(pivot, first) then
            t[place], t[low] = first, pivot
            pivot = first
        elseif less(last, pivot) then
            t[place], t[high] = last, pivot
            pivot = last
        end
        if high - low == 2 then return end
        local limit = high - 1
        t[place], t[limit] = t[limit], pivot
        local i, j = low, limit
        while true do
            i = i + 1
            local left = t[i]
            while less(left, pivot) do
                if i == limit then fail("invalid order function for sorting") end
                i = i + 1
                left = t[i]
            end
            j = j - 1
            local right = t[j]
            while less(pivot, right) do
                if j < i then fail("invalid order function for sorting") end
                j = j - 1
                right = t[j]
            end
            if j < i then
                t[limit], t[i] = left, t[limit]
                break
            end
            t[i], t[j] = right, left
        end
        local size = high - low
        if i - low < high - i then
            sort_by(t, low, i - 1, less, scattered)
            scattered = scattered or size // 128 > i - low
            low = i + 1
        else
            sort_by(t, i + 1, high, less, scattered)
            scattered = scattered or size // 128 > high - i
            high = i - 1
        end
    end
end

local long = {}

function long.sort(t, len, less)
    if less then
        sort_by(t, 1, len, less, false)
    else
        sort(t, 1, len, false, true)
    end
end

function long.insert(t, len, place, value)
    for i = len, place, -1 do
        t[i + 1] = t[i]
    end
    t[place] = value
end

function long.remove(t, len, place)
    local value = t[place]
    for i = place, len - 1 do
        t[i] = t[i + 1]
    end
    t[len] = nil
    return value
end

function long.move(from, first, last, to, into)
    if to > last or to <= first or from ~= into then
        for i = 0, last - first do
            into[to + i] = from[first + i]
        end
    else
        for i = last - first, 0, -1 do
            into[to + i] = from[first + i]
        end
    end
    return into
end

function long.concat(t, separator, first, last)
    local parts, count = {}, 0
    while last - first >= PIECE_ELEMENTS do
        count = count + 1
        parts[count] = concat(t, separator, first, first + PIECE_ELEMENTS - 1)
        first = first + PIECE_ELEMENTS
    end
    parts[count + 1] = concat(t, separator, first, last)
    return concat(parts, separator)
end

-- Twice as long with each bit of the count.
function long.rep(text, count, separator)
    local unit, tail = text, ""
    if separator ~= "" then
        unit, tail, count = text .. separator, text, count - 1
    end
    local made, bit = unit, 1
    while bit <= count >> 1 do bit = bit << 1 end
    bit = bit >> 1
    while bit > 0 do
        if count & bit ~= 0 then
            made = made .. made .. unit
        else
            made = made .. made
        end
        bit = bit >> 1
    end
    return made .. tail
end

-- `change` is one of C that works byte by byte.
function long.change(change, text, backwards)
    local parts, len = {}, #text
    local count = (len + PIECE_BYTES - 1) // PIECE_BYTES
    for i = 1, count do
        local piece = change(sub(text, (i - 1) * PIECE_BYTES + 1, i * PIECE_BYTES))
        parts[backwards and count + 1 - i or i] = piece
    end
    return concat(parts)
end

local function is_inner(code)
    return code and code & 0xC0 == 0x80
end

function long.utf8_len(text, first, last, lax)
    local count = 0
    while true do
        local to = first + PIECE_BYTES - 1
        if to >= last then to = last end
        -- No character ends further on than this, unless the text is wrong anyway.
        for _ = 1, 6 do
            if to < last and is_inner(byte(text, to + 1)) then to = to + 1 end
        end
        local here, wrong = utf8_len(text, first, to, lax)
        if not here then return here, wrong end
        count = count + here
        if to == last then return count end
        first = to + 1
    end
end

function long.utf8_offset(text, count, at)
    if count > 0 then
        while count > 1 and at <= #text do
            repeat at = at + 1 until not is_inner(byte(text, at))
            count = count - 1
        end
        return count == 1 and at or nil
    elseif count < 0 then
        while count < 0 and at > 1 do
            repeat at = at - 1 until at <= 1 or not is_inner(byte(text, at))
            count = count + 1
        end
        return count == 0 and at or nil
    end
    while at > 1 and is_inner(byte(text, at)) do at = at - 1 end
    return at
end

-- Moves what a table holds into another, which stands behind its new metatable.
function long.freeze(t, content, metatable, content_metatable)
    for key, value in next, t do content[key] = value end
    set_metatable(content, content_metatable)
    set_metatable(t, metatable)
    for key in next, t do t[key] = nil end
    return t
end

function long.fill(t, value, first, last)
    for i = first, last do t[i] = value end
    return t
end

-- Collects garbage piece by piece: the rest of a cycle that is under way, and a whole one.
function long.collect()
    for _ = 1, 2 do
        repeat until pieces()
    end
    return 0
end

return long
